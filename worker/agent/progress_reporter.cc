#include "worker/agent/progress_reporter.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

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

void SetTime(absl::Time time, google::protobuf::Timestamp* timestamp) {
  const int64_t nanos = absl::ToUnixNanos(time);
  timestamp->set_seconds(nanos / 1'000'000'000);
  timestamp->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
}

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
  std::string overtaken;
  {
    absl::MutexLock lock(&mu_);
    const std::string path = JoinPath(folder_, event.path);
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
  v1::LogLine line;
  SetTime(clock_.Now(), line.mutable_time());
  line.set_token(token_);
  line.set_level(std::string(level));
  line.set_text(text);
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
    if (status.ok() && has_checkpoint) status = SendCheckpoint();
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
    control_.WaitAtLeast(StopReason::kAbandon, OutageDelay(++failures));
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

absl::Status ProgressReporter::SendCheckpoint() {
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
  absl::Status status;
  for (const char* name : {"weights.safetensors", "state.safetensors"}) {
    auto artifact = api_.Upload(JoinPath(checkpoint.path, name), cancelled);
    if (!artifact.ok()) {
      status = artifact.status();
      break;
    }
    *report.add_checkpoint() = *std::move(artifact);
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
  const bool again = IsOutage(status) || absl::IsFailedPrecondition(status);
  absl::MutexLock lock(&mu_);
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
