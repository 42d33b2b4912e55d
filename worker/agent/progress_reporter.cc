#include "worker/agent/progress_reporter.h"

#include <sys/stat.h>

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/proto_time.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kReportInterval = absl::Seconds(1);
// Bounds of one report, well below what a message may hold.
constexpr size_t kMaxReportEpochs = 500;
constexpr size_t kMaxReportLines = 1000;
constexpr size_t kMaxReportLineBytes = 1 << 20;
// Lines that wait while the coordinator is away.
constexpr size_t kMaxWaitingLines = 10'000;
constexpr size_t kMaxTail = 200;
// Of one attempt: a program that prints in a loop must not fill the farm's
// database.
constexpr size_t kMaxLogBytes = 16 << 20;
constexpr size_t kMaxCheckpointFiles = 64;

void Remove(const std::string& folder) {
  if (const absl::Status status = RemoveRecursively(folder); !status.ok()) {
    SPDLOG_WARN("{}", status.ToString());
  }
}

}  // namespace

ProgressReporter::ProgressReporter(WorkerApi& api, Clock& clock,
                                   AttemptControl& control, int64_t token,
                                   const std::string& folder)
    : api_(api),
      clock_(clock),
      control_(control),
      token_(token),
      folder_(folder),
      thread_([this] { Loop(); }) {}

ProgressReporter::~ProgressReporter() {
  {
    absl::MutexLock lock(&mu_);
    closed_ = true;
    changed_.SignalAll();
  }
  if (thread_.joinable()) thread_.join();
}

void ProgressReporter::AddStarted(const TrainerEvent& event) {
  absl::MutexLock lock(&mu_);
  v1::ReportProgressRequest& started = started_.emplace();
  started.set_started(true);
  started.set_device(event.device);
  started.set_resumed_epoch(event.resumed_epoch);
  started.set_epochs_total(event.epochs_total);
  changed_.SignalAll();
}

void ProgressReporter::AddEpoch(const TrainerEvent& event) {
  absl::MutexLock lock(&mu_);
  v1::EpochMetrics& metrics = epochs_[event.epoch];
  metrics.Clear();
  metrics.set_epoch(event.epoch);
  metrics.set_token(token_);
  for (const auto& [name, value] : event.metrics) {
    (*metrics.mutable_values())[name] = value;
  }
  changed_.SignalAll();
}

void ProgressReporter::AddCheckpoint(const TrainerEvent& event) {
  const std::string said = JoinPath(folder_, event.path);
  struct stat info;
  // A link may lead anywhere.
  if (lstat(said.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    AddLine("warning",
            absl::StrCat("checkpoint of epoch ", event.epoch, ": ", event.path,
                         " is not a folder in the attempt's folder; "
                         "it is not stored"));
    return;
  }
  std::string overtaken;
  {
    absl::MutexLock lock(&mu_);
    // Events cannot name what begins with a dot.
    const std::string path =
        JoinPath(folder_, absl::StrCat(".checkpoint-", ++taken_checkpoints_));
    if (rename(said.c_str(), path.c_str()) != 0) return;
    if (checkpoint_.has_value() && checkpoint_->path != path &&
        checkpoint_->path != uploading_) {
      overtaken = checkpoint_->path;
    }
    checkpoint_ = Checkpoint{event.epoch, path};
    changed_.SignalAll();
  }
  if (!overtaken.empty()) Remove(overtaken);
}

void ProgressReporter::AddLine(absl::string_view level,
                               const std::string& text) {
  absl::MutexLock lock(&mu_);
  tail_.push_back(text);
  if (tail_.size() > kMaxTail) tail_.pop_front();
  if (log_bytes_ > kMaxLogBytes) return;
  log_bytes_ += text.size() + 32;
  const bool last = log_bytes_ > kMaxLogBytes;
  v1::LogLine line;
  SetTime(clock_.Now(), line.mutable_time());
  line.set_token(token_);
  line.set_level(last ? "warning" : std::string(level));
  line.set_text(last ? absl::StrCat("(the log ends here: more than ",
                                    kMaxLogBytes >> 20,
                                    " MiB of lines in one attempt)")
                     : text);
  line.set_sequence(next_sequence_++);
  lines_.push_back(std::move(line));
  if (lines_.size() > kMaxWaitingLines) {
    // The front becomes the note about those that are missing before it.
    lines_.pop_front();
    ++dropped_lines_;
    v1::LogLine& note = lines_.front();
    note.set_level("warning");
    note.set_text(absl::StrCat("(", dropped_lines_ + 1,
                               " lines were dropped while the coordinator was "
                               "away or slow)"));
  }
  changed_.SignalAll();
}

bool ProgressReporter::Flush(bool with_checkpoint) {
  {
    absl::MutexLock lock(&mu_);
    flushing_ = true;
    without_checkpoint_ = !with_checkpoint;
    if (without_checkpoint_) checkpoint_.reset();
    changed_.SignalAll();
  }
  thread_.join();
  absl::MutexLock lock(&mu_);
  return !HasReport() && !checkpoint_.has_value() &&
         control_.reason() < StopReason::kAbandon;
}

std::vector<std::string> ProgressReporter::LogTail() const {
  absl::MutexLock lock(&mu_);
  return {tail_.begin(), tail_.end()};
}

bool ProgressReporter::HasReport() const {
  return started_.has_value() || !epochs_.empty() || !lines_.empty();
}

bool ProgressReporter::MustStop() const {
  return closed_ || control_.reason() >= StopReason::kAbandon;
}

void ProgressReporter::Loop() {
  int failures = 0;
  while (true) {
    v1::ReportProgressRequest report;
    bool has_report = false;
    bool has_checkpoint = false;
    {
      absl::MutexLock lock(&mu_);
      while (!HasReport() && !checkpoint_.has_value() && !flushing_ &&
             !closed_) {
        changed_.Wait(&mu_);
      }
      has_report = HasReport();
      has_checkpoint = checkpoint_.has_value();
      if (MustStop() || (!has_report && !has_checkpoint)) return;
      if (has_report) report = NextReport();
    }
    absl::Status status;
    if (has_report) {
      status = SendReport(report);
      if (status.ok()) {
        absl::MutexLock lock(&mu_);
        Forget(report);
        // A backlog first, so that the report of a checkpoint stays small.
        if (epochs_.size() > kMaxReportEpochs) continue;
      }
    }
    const absl::Duration delay = OutageDelay(failures + 1);
    if (status.ok() && has_checkpoint) status = SendCheckpoint(delay);
    if (status.ok()) {
      failures = 0;
      absl::MutexLock lock(&mu_);
      const absl::Duration next = clock_.Monotonic() + kReportInterval;
      while (!flushing_ && !closed_) {
        const absl::Duration left = next - clock_.Monotonic();
        if (left <= absl::ZeroDuration()) break;
        clock_.WaitFor(changed_, mu_, left);
      }
      continue;
    }
    ++failures;
    control_.WaitAtLeast(StopReason::kAbandon, delay);
  }
}

absl::Status ProgressReporter::SendReport(
    const v1::ReportProgressRequest& report) {
  const absl::StatusOr<v1::ReportProgressResponse> response =
      api_.ReportProgress(report);
  if (response.ok()) {
    if (response->cancel()) control_.Stop(StopReason::kCancel);
    return absl::OkStatus();
  }
  if (absl::IsAborted(response.status())) {
    SPDLOG_WARN("attempt={} is stale: {}", token_,
                response.status().ToString());
    control_.Stop(StopReason::kAbandon);
  }
  if (absl::IsInvalidArgument(response.status())) {
    SPDLOG_ERROR("attempt={} report of {} epochs and {} lines refused: {}",
                 token_, report.epochs_size(), report.lines_size(),
                 response.status().ToString());
    return absl::OkStatus();
  }
  return response.status();
}

absl::Status ProgressReporter::SendCheckpoint(absl::Duration delay) {
  Checkpoint checkpoint;
  {
    absl::MutexLock lock(&mu_);
    if (!checkpoint_.has_value()) return absl::OkStatus();
    checkpoint = *checkpoint_;
    uploading_ = checkpoint.path;
  }
  const auto cancelled = [this] {
    absl::MutexLock lock(&mu_);
    return without_checkpoint_ || MustStop();
  };
  v1::ReportProgressRequest report;
  report.set_token(token_);
  report.set_checkpoint_epoch(checkpoint.epoch);
  absl::Status status = UploadCheckpoint(checkpoint.path, cancelled, report);
  if (absl::IsInvalidArgument(status)) {
    AddLine("warning",
            absl::StrCat("checkpoint of epoch ", checkpoint.epoch,
                         " is not stored: ", std::string(status.message())));
  }
  if (status.ok()) {
    {
      // Who resumes from here trains none of these epochs again: without them
      // in the same report their metrics would be lost with this machine.
      absl::MutexLock lock(&mu_);
      for (const auto& [epoch, metrics] : epochs_) {
        if (epoch <= checkpoint.epoch) *report.add_epochs() = metrics;
      }
    }
    status = SendReport(report);
  }
  // The coordinator lost an artifact between upload and report: once more.
  const bool again =
      absl::IsFailedPrecondition(status) || patience_.TryAgain(status, delay);
  absl::MutexLock lock(&mu_);
  if (!again) patience_ = Patience();
  if (status.ok()) Forget(report);
  uploading_.clear();
  const bool newest =
      checkpoint_.has_value() && checkpoint_->path == checkpoint.path;
  if (again && newest) return status;
  if (status.ok()) {
    SPDLOG_INFO("attempt={} epoch={} checkpoint stored", token_,
                checkpoint.epoch);
  } else if (!without_checkpoint_) {
    SPDLOG_WARN("attempt={} epoch={} checkpoint dropped: {}", token_,
                checkpoint.epoch, status.ToString());
  }
  if (newest) checkpoint_.reset();
  Remove(checkpoint.path);
  return again ? status : absl::OkStatus();
}

absl::Status ProgressReporter::UploadCheckpoint(
    const std::string& folder, const WorkerApi::Cancelled& cancelled,
    v1::ReportProgressRequest& report) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            ListDirectory(folder));
  if (names.empty() || names.size() > kMaxCheckpointFiles) {
    return absl::InvalidArgumentError(
        absl::StrCat("its folder holds ", names.size(),
                     " files, expected 1 to ", kMaxCheckpointFiles));
  }
  for (const std::string& name : names) {
    FOLDFARM_RETURN_IF_ERROR(CheckFileName(name));
    const std::string path = JoinPath(folder, name);
    struct stat info;
    if (lstat(path.c_str(), &info) != 0) {
      return ErrnoStatus(path, "cannot stat");
    }
    if (!S_ISREG(info.st_mode)) {
      return absl::InvalidArgumentError(
          absl::StrCat(CleanText(name, 100), " is not a regular file"));
    }
    FOLDFARM_ASSIGN_OR_RETURN(*report.add_checkpoint(),
                              api_.Upload(path, cancelled));
  }
  return absl::OkStatus();
}

v1::ReportProgressRequest ProgressReporter::NextReport() const {
  v1::ReportProgressRequest report;
  if (started_.has_value()) report = *started_;
  report.set_token(token_);
  for (const auto& [epoch, metrics] : epochs_) {
    if (static_cast<size_t>(report.epochs_size()) == kMaxReportEpochs) break;
    *report.add_epochs() = metrics;
  }
  size_t bytes = 0;
  for (const v1::LogLine& line : lines_) {
    bytes += line.text().size() + 32;
    if (static_cast<size_t>(report.lines_size()) == kMaxReportLines ||
        bytes > kMaxReportLineBytes) {
      break;
    }
    *report.add_lines() = line;
  }
  return report;
}

void ProgressReporter::Forget(const v1::ReportProgressRequest& sent) {
  if (sent.started()) started_.reset();
  for (const v1::EpochMetrics& metrics : sent.epochs()) {
    epochs_.erase(metrics.epoch());
  }
  if (sent.lines().empty()) return;
  const int64_t last = sent.lines().rbegin()->sequence();
  while (!lines_.empty() && lines_.front().sequence() <= last) {
    lines_.pop_front();
  }
  dropped_lines_ = 0;
}

}  // namespace foldfarm
