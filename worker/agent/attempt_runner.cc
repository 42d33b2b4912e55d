#include "worker/agent/attempt_runner.h"

#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/attempt_files.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/sweep/kept_checkpoint.h"
#include "worker/agent/devices.h"
#include "worker/agent/exec_program.h"
#include "worker/agent/outcome.h"
#include "worker/agent/worker_fault.h"

namespace foldfarm {
namespace {

absl::Status CheckRegularFile(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return ErrnoStatus(path, "cannot stat");
  if (S_ISREG(info.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": expected a regular file"));
}

// What a shell or the loader says of a program that cannot be run, or the
// processor of one that was built for another.
bool IsBrokenTrainer(const v1::FinishAttemptRequest& request) {
  constexpr int kCannotExecute = 126;
  constexpr int kNotFound = 127;
  return request.exit_status() == kCannotExecute ||
         request.exit_status() == kNotFound || request.signal() == SIGILL;
}

}  // namespace

AttemptRunner::AttemptRunner(const Options& options, const v1::Lease& lease,
                             WorkerApi& api, DatasetCache& cache, Clock& clock,
                             AttemptControl& control)
    : options_(options),
      lease_(lease),
      api_(api),
      cache_(cache),
      clock_(clock),
      control_(control),
      exec_(lease.spec().model().arch().has_exec()),
      predicts_(!lease.spec().predict_samples().empty()),
      who_(exec_ ? DescribeExec(lease.spec().model().arch().exec())
                 : "the trainer") {}

std::optional<v1::FinishAttemptRequest> AttemptRunner::Run() {
  std::optional<v1::FinishAttemptRequest> request = RunToEnd();
  if (!request.has_value()) return request;
  const ProcessUsage usage = control_.usage();
  request->mutable_usage()->set_peak_memory_bytes(usage.peak_memory_bytes);
  request->mutable_usage()->set_cpu_seconds(usage.cpu_seconds);
  return request;
}

void AttemptRunner::BlameWorker(v1::FinishAttemptRequest& request) {
  // A user's program can say what it likes, and fill the disk by itself. The
  // trainer calls a full disk what it calls too little memory: it ran out.
  if (exec_ || request.outcome() != v1::Attempt::FAILED ||
      (request.failure_kind() != v1::FAILURE_KIND_RETRYABLE &&
       request.failure_kind() != v1::FAILURE_KIND_OUT_OF_MEMORY)) {
    return;
  }
  std::string fault = RoomFault(folder_->path());
  if (fault.empty()) fault = WorkerFault(request.error());
  if (IsDiskFault(fault) && BesideProgram()) {
    // Whose doing that is shows when the program's attempt ends.
    return HandBack(absl::StrCat(fault, ": ", request.error()), request);
  }
  if (fault.empty() && !began_ && IsBrokenTrainer(request)) {
    const std::vector<std::string> lines = reporter_->LogTail();
    fault = absl::StrCat(
        "the trainer does not run on this machine",
        lines.empty() ? "" : absl::StrCat(" (", lines.back(), ")"));
  }
  if (fault.empty()) return;
  worker_at_fault_ = true;
  request.set_failure_kind(v1::FAILURE_KIND_WORKER);
  request.set_error(absl::StrCat(fault, ": ", request.error()));
}

void AttemptRunner::HandBack(const std::string& why,
                             v1::FinishAttemptRequest& request) {
  worker_at_fault_ = true;
  request.clear_failure_kind();
  request.set_outcome(v1::Attempt::PREEMPTED);
  request.set_error(why);
}

std::optional<v1::FinishAttemptRequest> AttemptRunner::RunToEnd() {
  if (const absl::Status status = Prepare(); !status.ok()) {
    if (abandoned()) return std::nullopt;
    return NotStarted(status);
  }
  reporter_ = std::make_unique<ProgressReporter>(
      api_, clock_, control_, lease_.token(), folder_->path());
  const absl::StatusOr<TrainerExit> exit =
      RunTrainer(options_.trainer, control_, clock_, *this);
  if (abandoned()) return std::nullopt;
  if (!exit.ok()) return NotStarted(exit.status());

  v1::FinishAttemptRequest request =
      JudgeExit(*exit, last_word_, control_.reason(), who_);
  request.set_token(lease_.token());
  const bool succeeded = request.outcome() == v1::Attempt::SUCCEEDED;
  // Of a success only that of the last epoch is of use, to train on from.
  const bool keeps = KeepsCheckpoint(lease_.spec().model());
  if (!reporter_->Flush(/*with_checkpoint=*/!succeeded || keeps)) {
    return std::nullopt;
  }
  if (succeeded) {
    const absl::Status status = UploadResult(request);
    if (abandoned()) return std::nullopt;
    if (!status.ok()) {
      request.clear_artifacts();
      request.set_outcome(v1::Attempt::FAILED);
      request.set_failure_kind(v1::FAILURE_KIND_RETRYABLE);
      request.set_error(absl::StrCat(
          who_, ": its result cannot be stored: ", status.message()));
    }
  }
  BlameWorker(request);
  // The coordinator may yet refuse what a user's program calls a success.
  if (request.outcome() == v1::Attempt::FAILED || (succeeded && exec_)) {
    for (std::string& line : reporter_->LogTail()) {
      request.add_log_tail(std::move(line));
    }
  }
  return request;
}

bool AttemptRunner::UploadAgain(v1::FinishAttemptRequest& request) {
  if (request.outcome() != v1::Attempt::SUCCEEDED) return !abandoned();
  request.clear_artifacts();
  const absl::Status status = UploadResult(request);
  if (!status.ok()) {
    SPDLOG_WARN("attempt={} {}", lease_.token(), status.ToString());
  }
  return !abandoned();
}

void AttemptRunner::OnEvent(const TrainerEvent& said) {
  TrainerEvent event = said;
  began_ = true;
  if (exec_ && !CheckExecEvent(event)) return;
  switch (event.kind) {
    case TrainerEvent::Kind::kStarted:
      if (predicts_) {
        SPDLOG_INFO("attempt={} job={} device={} predicting {} samples",
                    lease_.token(), lease_.spec().job(), event.device,
                    lease_.spec().predict_samples_size());
      } else {
        SPDLOG_INFO("attempt={} job={} device={} training, epochs {} to {}",
                    lease_.token(), lease_.spec().job(), event.device,
                    event.resumed_epoch + 1, event.epochs_total);
      }
      reporter_->AddStarted(event);
      return;
    case TrainerEvent::Kind::kEpoch:
      reporter_->AddEpoch(event);
      return;
    case TrainerEvent::Kind::kCheckpoint:
      reporter_->AddCheckpoint(event);
      return;
    case TrainerEvent::Kind::kLog:
      reporter_->AddLine(event.level, event.message);
      return;
    case TrainerEvent::Kind::kFinished:
    case TrainerEvent::Kind::kFailed:
      last_word_ = event;
      return;
  }
}

void AttemptRunner::OnLine(absl::string_view level, const std::string& text) {
  reporter_->AddLine(level, text);
}

bool AttemptRunner::CheckExecEvent(TrainerEvent& event) {
  const auto warn = [this](const std::string& text) {
    reporter_->AddLine("warning", text);
  };
  if (event.kind == TrainerEvent::Kind::kLog) return true;
  if (event.kind == TrainerEvent::Kind::kStarted) {
    if (started_) {
      warn("a second \"started\" event: ignored");
      return false;
    }
    // A program may start again although there is a checkpoint, but not go on
    // from one that it never got.
    if (event.resumed_epoch > lease_.checkpoint_epoch()) {
      warn(absl::StrCat("resumed_epoch is ", event.resumed_epoch,
                        ", but the checkpoint is of epoch ",
                        lease_.checkpoint_epoch()));
      event.resumed_epoch = lease_.checkpoint_epoch();
    }
    event.device = options_.device;
    last_epoch_ = event.resumed_epoch;
    started_ = true;
    return true;
  }
  if (!started_ && event.kind != TrainerEvent::Kind::kFailed) {
    TrainerEvent started;
    started.kind = TrainerEvent::Kind::kStarted;
    started.epochs_total = lease_.spec().model().arch().exec().epochs();
    OnEvent(started);
  }
  if (event.kind == TrainerEvent::Kind::kEpoch) {
    if (event.epoch <= last_epoch_) {
      warn(absl::StrCat("epoch ", event.epoch, " after epoch ", last_epoch_,
                        ": ignored"));
      return false;
    }
    last_epoch_ = event.epoch;
  }
  if (event.kind == TrainerEvent::Kind::kCheckpoint &&
      event.epoch > last_epoch_) {
    warn(absl::StrCat("checkpoint of epoch ", event.epoch, " after epoch ",
                      last_epoch_, ": ignored"));
    return false;
  }
  return true;
}

absl::Status AttemptRunner::Prepare() {
  if (exec_ && !options_.allow_exec) {
    return absl::FailedPreconditionError(
        "this worker does not run users' programs; start it with --allow-exec");
  }
  if (exec_ && predicts_) {
    return absl::InvalidArgumentError(
        "a user's program only trains, it cannot predict");
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string dataset,
                            cache_.Get(lease_.dataset(), control_));
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> inputs,
                            FetchInputs());
  v1::AttemptSpec spec = lease_.spec();
  spec.set_device(exec_ ? DeviceInside(options_.device) : options_.device);
  spec.set_threads(options_.trainer.threads);
  FOLDFARM_ASSIGN_OR_RETURN(
      folder_,
      AttemptFolder::Create(options_.scratch, lease_.token(), spec, dataset));
  options_.trainer.folder = folder_->path();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name = lease_.inputs(static_cast<int>(i)).name();
    FOLDFARM_RETURN_IF_ERROR(folder_->AddInput(
        name, inputs[i],
        predicts_                  ? AttemptFolder::Input::kResult
        : name == kInitWeightsFile ? AttemptFolder::Input::kLinked
                                   : AttemptFolder::Input::kUsers));
  }
  if (exec_) FOLDFARM_RETURN_IF_ERROR(PrepareExec(spec));
  return FetchCheckpoint();
}

absl::Status AttemptRunner::PrepareExec(const v1::AttemptSpec& spec) {
  const v1::ExecSpec& exec = spec.model().arch().exec();
  FOLDFARM_RETURN_IF_ERROR(WriteExecConfig(exec, folder_->path()));
  FOLDFARM_ASSIGN_OR_RETURN(
      options_.trainer.exec,
      FindExecProgram(spec, options_.device, folder_->path()));
  if (exec.timeout_minutes() > 0) {
    options_.trainer.timeout = absl::Minutes(exec.timeout_minutes());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> AttemptRunner::FetchInputs() {
  std::vector<std::string> paths;
  for (const v1::ArtifactRef& input : lease_.inputs()) {
    FOLDFARM_ASSIGN_OR_RETURN(paths.emplace_back(),
                              cache_.Get(input, control_));
  }
  return paths;
}

absl::Status AttemptRunner::FetchCheckpoint() {
  if (lease_.checkpoint().empty()) return absl::OkStatus();
  const std::string folder = JoinPath(folder_->path(), "checkpoint");
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(folder));
  for (const v1::ArtifactRef& artifact : lease_.checkpoint()) {
    FOLDFARM_RETURN_IF_ERROR(CheckFileName(artifact.name()));
    const absl::Status status = RetryOutages(control_, StopReason::kDrain, [&] {
      return api_.Download(artifact, JoinPath(folder, artifact.name()), [&] {
        return control_.reason() >= StopReason::kDrain;
      });
    });
    if (absl::IsNotFound(status) || absl::IsDataLoss(status)) {
      SPDLOG_WARN("attempt={} job={} starts from scratch: {}", lease_.token(),
                  lease_.spec().job(), status.ToString());
      return RemoveRecursively(folder);
    }
    FOLDFARM_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

v1::FinishAttemptRequest AttemptRunner::NotStarted(const absl::Status& status) {
  v1::FinishAttemptRequest request;
  request.set_token(lease_.token());
  const StopReason reason = control_.reason();
  if (reason == StopReason::kCancel) {
    request.set_outcome(v1::Attempt::CANCELLED);
  } else if (reason == StopReason::kDrain) {
    request.set_outcome(v1::Attempt::PREEMPTED);
  } else if (absl::IsResourceExhausted(status) && BesideProgram()) {
    // It may have filled the disk, and what it wrote goes with it.
    HandBack(absl::StrCat("no room on the disk beside a user's program: ",
                          std::string(status.message())),
             request);
    SPDLOG_WARN("attempt={} job={} handed back: {}", lease_.token(),
                lease_.spec().job(), request.error());
  } else if (absl::IsResourceExhausted(status)) {
    worker_at_fault_ = true;
    request.set_outcome(v1::Attempt::FAILED);
    request.set_failure_kind(v1::FAILURE_KIND_WORKER);
    request.set_error(
        absl::StrCat("no room on the disk: ", std::string(status.message())));
    SPDLOG_ERROR("attempt={} job={} {}", lease_.token(), lease_.spec().job(),
                 request.error());
  } else if (absl::IsDataLoss(status) ||
             (absl::IsNotFound(status) && folder_ == nullptr)) {
    // The dataset or an input is gone from the coordinator, or damaged there;
    // no other worker will get it.
    request.set_outcome(v1::Attempt::FAILED);
    request.set_failure_kind(v1::FAILURE_KIND_RETRYABLE);
    request.set_error(std::string(status.message()));
  } else if (absl::IsInvalidArgument(status)) {
    // The lease itself is wrong, wherever it is tried.
    request.set_outcome(v1::Attempt::FAILED);
    request.set_failure_kind(v1::FAILURE_KIND_PERMANENT);
    request.set_error(std::string(status.message()));
  } else {
    SPDLOG_ERROR("attempt={} job={} cannot start here, handing it back: {}",
                 lease_.token(), lease_.spec().job(), status.ToString());
    HandBack(std::string(status.message()), request);
  }
  return request;
}

absl::Status AttemptRunner::UploadResult(v1::FinishAttemptRequest& request) {
  const std::vector<std::string>& files = last_word_->files;
  const absl::string_view expected = predicts_ ? kPredictionsFile : kOofFile;
  if (std::find(files.begin(), files.end(), expected) == files.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "its \"finished\" event names [", absl::StrJoin(files, ", "),
        "], expected ", expected, " among them"));
  }
  for (const std::string& name : last_word_->files) {
    const std::string path = JoinPath(folder_->path(), name);
    FOLDFARM_RETURN_IF_ERROR(CheckRegularFile(path));
    FOLDFARM_RETURN_IF_ERROR(
        RetryOutages(control_, StopReason::kAbandon, [&]() -> absl::Status {
          FOLDFARM_ASSIGN_OR_RETURN(
              *request.add_artifacts(),
              api_.Upload(path, [this] { return abandoned(); }));
          return absl::OkStatus();
        }));
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
