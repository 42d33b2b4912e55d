#include "coordinator/cli/run.h"

#include <algorithm>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/sweep/schedule_advice.h"
#include "common/sweep/sweep.h"
#include "coordinator/cli/dataset_import.h"
#include "coordinator/cli/ensemble_text.h"
#include "coordinator/cli/export.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/local_farm.h"
#include "coordinator/cli/report.h"
#include "coordinator/cli/results.h"
#include "coordinator/cli/run_state.h"
#include "coordinator/cli/sweep_inputs.h"
#include "coordinator/cli/sweep_watcher.h"
#include "coordinator/cli/trainer_call.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

// Workers get this long for checkpoints after an interrupt.
constexpr absl::Duration kDrainTimeout = absl::Seconds(90);
constexpr absl::Duration kStopTimeout = absl::Seconds(10);
constexpr absl::Duration kTick = absl::Milliseconds(200);

absl::Status Interrupted(const RunOptions& options) {
  return absl::CancelledError(
      absl::StrCat("Stopped. Go on with: ", options.command));
}

// The coordinator has looked at a request and not done it.
bool IsRefusal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ||
         absl::IsFailedPrecondition(status);
}

// One run, between its lock and its results.
class Run {
 public:
  Run(CommandContext& context, const RunOptions& options)
      : context_(context), console_(context.console), options_(options) {}

  absl::StatusOr<int> Execute();

 private:
  std::string Out(absl::string_view name) const {
    return JoinPath(options_.out, name);
  }
  absl::Status StartFarm();
  absl::StatusOr<std::string> EnsureDataset();
  absl::StatusOr<std::string> EnsureSweep(const v1::SweepSpec& spec,
                                          const std::string& dataset);
  absl::StatusOr<std::string> FormerSweep(const std::string& name);
  absl::Status CancelFormer();
  absl::StatusOr<v1::Sweep> Train(const std::string& sweep);
  absl::Status DrainWorkers(SweepWatcher& watcher);
  absl::Status WriteResults(const std::string& sweep);
  absl::StatusOr<v1::Sweep> GetSweep(const std::string& sweep);

  CommandContext& context_;
  const Console& console_;
  const RunOptions& options_;
  RunState state_;
  std::unique_ptr<LocalFarm> farm_;
  std::unique_ptr<FarmClient> client_;
};

absl::Status Run::StartFarm() {
  const int cores =
      std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  LocalFarmOptions farm;
  farm.directory = options_.out;
  farm.programs = ProgramDirectory();
  farm.workers =
      options_.workers > 0 ? options_.workers : DefaultWorkers(cores);
  farm.threads = std::max(1, cores / farm.workers);
  farm.device = options_.device;
  farm.trainer = options_.trainer;
  farm.allow_exec = options_.allow_exec;
  FOLDFARM_ASSIGN_OR_RETURN(farm_, LocalFarm::Start(farm, context_.clock));
  client_ = std::make_unique<FarmClient>(farm_->address());
  console_.Note(absl::StrCat("Coordinator at ", farm_->address(), ", ",
                             FormatPlural(farm.workers, "worker"), " with ",
                             FormatPlural(farm.threads, "thread"),
                             " each; logs in ", Out("logs")));
  return absl::OkStatus();
}

absl::StatusOr<std::string> Run::EnsureDataset() {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string fingerprint,
                            FingerprintDirectory(options_.data));
  if (fingerprint == state_.data_fingerprint) {
    v1::GetDatasetRequest request;
    request.set_name(state_.dataset);
    const auto known = client_->Call(&Farm::GetDataset, request);
    if (known.ok()) {
      console_.Note(
          absl::StrCat("Dataset ", known->name(), " is imported already"));
      return known->name();
    }
    if (!absl::IsNotFound(known.status())) return known.status();
  }
  DatasetImport import;
  import.directory = options_.data;
  import.name = DatasetNameOf(options_.data, fingerprint);
  // Most folders lack some split's features; what is left out is said aloud,
  // and who wants a refusal imports with `dataset import`.
  import.allow_missing = true;
  import.scratch = options_.out;
  // Files that were only touched are no other data.
  import.reuse_identical = true;
  import.preferred = state_.dataset;
  FOLDFARM_ASSIGN_OR_RETURN(
      const v1::Dataset dataset,
      ImportAndRegister(console_, context_.clock, *client_, import));
  state_.data_directory = options_.data;
  state_.data_fingerprint = fingerprint;
  state_.dataset = dataset.name();
  FOLDFARM_RETURN_IF_ERROR(SaveRunState(Out("run.json"), state_));
  return dataset.name();
}

absl::StatusOr<std::string> Run::EnsureSweep(const v1::SweepSpec& spec,
                                             const std::string& dataset) {
  const std::string digest = SweepDigest(spec, dataset);
  const RunState before = state_;
  if (digest != state_.sweep_digest) {
    if (!state_.sweep_digest.empty()) {
      console_.Note(
          "The sweep or the data changed since the last run: submitting anew; "
          "jobs that are as before keep their results");
      // One that an interrupt left over.
      FOLDFARM_RETURN_IF_ERROR(CancelFormer());
      FOLDFARM_ASSIGN_OR_RETURN(state_.former_sweep, FormerSweep(spec.name()));
    }
    state_.sweep.clear();
    state_.sweep_digest = digest;
    state_.request_id = NewRandomId();
    FOLDFARM_RETURN_IF_ERROR(SaveRunState(Out("run.json"), state_));
  }
  v1::SubmitSweepRequest request;
  request.set_request_id(state_.request_id);
  *request.mutable_spec() = spec;
  request.set_dataset(dataset);
  const auto submitted = client_->Call(&Farm::SubmitSweep, request);
  if (IsRefusal(submitted.status())) {
    // There is no such sweep: who undoes the change goes on with the former.
    state_ = before;
    FOLDFARM_RETURN_IF_ERROR(SaveRunState(Out("run.json"), state_));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const v1::SubmitSweepResponse reply, submitted);
  if (state_.sweep != reply.sweep()) {
    state_.sweep = reply.sweep();
    FOLDFARM_RETURN_IF_ERROR(SaveRunState(Out("run.json"), state_));
  }
  FOLDFARM_RETURN_IF_ERROR(CancelFormer());
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Sweep sweep, GetSweep(reply.sweep()));
  console_.Note(absl::StrCat("Sweep ", reply.sweep(), " (", spec.name(),
                             "): ", FormatPlural(reply.jobs(), "job"), ", ",
                             sweep.succeeded(), " done already"));
  // What the sweep dropped by itself is no failure.
  if (sweep.failed() > 0 || (sweep.cancelled() > 0 && sweep.note().empty())) {
    v1::RetryRequest retry;
    retry.set_target(reply.sweep());
    FOLDFARM_ASSIGN_OR_RETURN(const v1::RetryResponse again,
                              client_->Call(&Farm::Retry, retry));
    console_.Note(absl::StrCat("Trying again what failed: ",
                               FormatPlural(again.jobs(), "job")));
  }
  return reply.sweep();
}

// The sweep of the last run. When a kill came between its submission and
// run.json: the newest of its name, which people keep when they edit a sweep.
absl::StatusOr<std::string> Run::FormerSweep(const std::string& name) {
  if (!state_.sweep.empty()) return state_.sweep;
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListSweepsResponse reply,
                            client_->Call(&Farm::ListSweeps, {}));
  for (const v1::Sweep& sweep : reply.sweeps()) {
    if (sweep.name() == name && sweep.prediction().empty()) return sweep.id();
  }
  return std::string();
}

// Else workers would train the former version to its end, beside the new one.
// Its results stay. After the new one is submitted, so that one that the
// coordinator refuses costs nothing; no worker runs yet.
absl::Status Run::CancelFormer() {
  if (state_.former_sweep.empty()) return absl::OkStatus();
  // Equal in a coordinator's folder that was emptied.
  if (state_.former_sweep != state_.sweep) {
    v1::CancelRequest request;
    request.set_target(state_.former_sweep);
    const auto reply = client_->Call(&Farm::Cancel, request);
    if (!reply.ok() && !absl::IsNotFound(reply.status())) return reply.status();
    if (reply.ok() && reply->jobs() > 0) {
      console_.Note(absl::StrCat(
          state_.former_sweep, ", the former version, is cancelled: ",
          FormatPlural(reply->jobs(), "job"),
          " not finished; where nothing changed its results are used, and its "
          "checkpoints gone on from"));
    }
  }
  state_.former_sweep.clear();
  return SaveRunState(Out("run.json"), state_);
}

absl::StatusOr<v1::Sweep> Run::GetSweep(const std::string& sweep) {
  v1::GetSweepRequest request;
  request.set_sweep(sweep);
  return client_->Call(&Farm::GetSweep, request);
}

// Follows the sweep to its end and looks after the children meanwhile.
absl::StatusOr<v1::Sweep> Run::Train(const std::string& sweep) {
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Sweep before, GetSweep(sweep));
  if (before.pending() + before.running() == 0) return before;
  FOLDFARM_RETURN_IF_ERROR(farm_->StartWorkers());
  // In line with what was said before and will be said after.
  SweepWatcher::Target target = SweepWatcher::ToErr(console_);
  target.mode = LiveArea::Mode::kInline;
  SweepWatcher watcher(*client_, sweep, context_.clock, target);
  while (!watcher.Tick(kTick)) {
    if (InterruptScope::Interrupted()) return DrainWorkers(watcher);
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> events,
                              farm_->Supervise());
    for (const std::string& event : events) {
      watcher.Print(absl::StrCat("warning: ", event));
    }
  }
  FOLDFARM_RETURN_IF_ERROR(watcher.result());
  return watcher.sweep();
}

absl::Status Run::DrainWorkers(SweepWatcher& watcher) {
  watcher.Print(
      "Stopping: running jobs write a checkpoint (Ctrl-C again ends at once)");
  farm_->Drain();
  const absl::Duration end = context_.clock.Monotonic() + kDrainTimeout;
  while (farm_->LiveWorkers() > 0 && context_.clock.Monotonic() < end) {
    watcher.Tick(kTick);
  }
  return Interrupted(options_);
}

absl::Status Run::WriteResults(const std::string& sweep) {
  v1::GetEnsembleRequest request;
  request.set_sweep(sweep);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::GetEnsembleResponse ensemble,
                            client_->Call(&Farm::GetEnsemble, request));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string json, ToJson(ensemble));
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(Out("ensemble.json"), json));
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t jobs,
                            WriteMetrics(*client_, sweep, Out("metrics.csv")));
  int64_t rows = 0;
  if (!ensemble.models().empty()) {
    FOLDFARM_ASSIGN_OR_RETURN(rows, WriteOof(*client_, sweep, Out("oof.csv")));
  }
  ExportOptions to_export;
  to_export.sweep = sweep;
  to_export.directory = Out("models");
  to_export.cancelled = &InterruptScope::Interrupted;
  FOLDFARM_ASSIGN_OR_RETURN(const ExportReport exported,
                            ExportModels(*client_, to_export));
  ReportOptions to_report;
  to_report.sweep = sweep;
  to_report.cancelled = &InterruptScope::Interrupted;
  FOLDFARM_ASSIGN_OR_RETURN(const ReportData report,
                            FetchReport(*client_, context_.clock, to_report));
  FOLDFARM_RETURN_IF_ERROR(
      WriteFileAtomically(Out("report.html"), ReportHtml(report)));
  FOLDFARM_RETURN_IF_ERROR(
      context_.Show(ensemble, [&](size_t width, bool colour) {
        return absl::StrCat("\n", EnsembleText(ensemble, width, colour), "\n");
      }));
  Table files({{"FILE", Column::Align::kLeft, true, 20}, {"WHAT"}});
  files.AddRow({Out("report.html"),
                "scores, curves, calibration, the worst samples, failures"});
  files.AddRow({Out("ensemble.json"), "the scores above"});
  if (rows > 0) {
    files.AddRow({Out("oof.csv"), absl::StrCat("out-of-fold predictions of ",
                                               FormatPlural(rows, "sample"))});
  }
  files.AddRow({Out("metrics.csv"),
                absl::StrCat("epochs of ", FormatPlural(jobs, "job"))});
  if (exported.jobs > 0) {
    files.AddRow(
        {Out("models/"),
         absl::StrCat("weights of ", FormatPlural(exported.jobs, "job"),
                      ", MODEL/FOLD.safetensors; see README.txt")});
  }
  if (!exported.removed.empty()) {
    files.AddRow({Out("models/"),
                  absl::StrCat("removed: ",
                               FormatPlural(static_cast<int64_t>(
                                                exported.removed.size()),
                                            "file"),
                               " of the former run that this one does not "
                               "have")});
  }
  files.AddRow({Out("logs/"), "of the coordinator and the workers"});
  const size_t width =
      console_.err_is_terminal ? TerminalSizeOf(console_.err_fd).columns : 0;
  *console_.err << files.Render(width, console_.err_colour) << std::flush;
  return absl::OkStatus();
}

absl::StatusOr<int> Run::Execute() {
  FOLDFARM_ASSIGN_OR_RETURN(v1::SweepSpec spec,
                            LoadSweepFile(options_.sweep_file, options_.sets));
  FOLDFARM_RETURN_IF_ERROR(CheckSweepInputs(options_.sweep_file, spec));
  for (const std::string& advice : ScheduleAdvice(spec)) console_.Warn(advice);
  const std::vector<std::string> exec_models = ExecModels(spec);
  if (!exec_models.empty() && !options_.allow_exec) {
    return absl::FailedPreconditionError(absl::StrCat(
        options_.sweep_file, ": ", absl::StrJoin(exec_models, ", "),
        " would run programs that the sweep brings (arch: exec); if you trust "
        "them, run it with --allow-exec"));
  }
  if (!FileExists(JoinPath(options_.data, "metadata.csv"))) {
    return absl::NotFoundError(
        absl::StrCat(options_.data,
                     ": no metadata.csv in it, expected a folder in the "
                     "competition's layout"));
  }
  // Nobody imports for minutes only to learn that nothing trains here.
  FOLDFARM_RETURN_IF_ERROR(FindTrainer(options_.trainer, "trains").status());
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(options_.out));
  const auto lock = FileLock::Acquire(Out("lock"));
  if (!lock.ok()) {
    return Annotate(lock.status(), "another run works in this folder");
  }
  FOLDFARM_ASSIGN_OR_RETURN(state_, LoadRunState(Out("run.json")));
  FOLDFARM_RETURN_IF_ERROR(StartFarm());
  FOLDFARM_ASSIGN_OR_RETURN(const std::string dataset, EnsureDataset());
  FOLDFARM_RETURN_IF_ERROR(UploadSweepInputs(console_, context_.clock, *client_,
                                             options_.sweep_file, spec));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string sweep,
                            EnsureSweep(spec, dataset));
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Sweep last, Train(sweep));
  FOLDFARM_RETURN_IF_ERROR(WriteResults(sweep));
  farm_->Stop(kStopTimeout);
  if (last.state() == v1::Sweep::SUCCEEDED) return kExitDone;
  console_.Error(absl::StrCat(FormatPlural(last.failed(), "job"), " failed, ",
                              last.cancelled(), " cancelled; see ", Out("logs"),
                              ". Try them again with: ", options_.command));
  return kExitFailed;
}

}  // namespace

int DefaultWorkers(int cores) {
  return std::clamp(cores / 4, std::min(2, cores), 8);
}

absl::StatusOr<int> RunSweep(CommandContext& context,
                             const RunOptions& options) {
  InterruptScope interrupt;
  const absl::StatusOr<int> result = Run(context, options).Execute();
  if (absl::IsCancelled(result.status()) || InterruptScope::Interrupted()) {
    return Interrupted(options);
  }
  return result;
}

}  // namespace foldfarm
