#include "worker/trainer/attempt.h"

#include <torch/torch.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepared_dataset.h"
#include "common/tensorfile/tensorfile.h"
#include "worker/init/initial_weights.h"
#include "worker/models/model.h"
#include "worker/trainer/attempt_spec.h"
#include "worker/trainer/predict_attempt.h"
#include "worker/trainer/predictions.h"
#include "worker/trainer/torch_errors.h"
#include "worker/trainer/tree_attempt.h"
#include "worker/training/labels.h"
#include "worker/training/staged_training.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

constexpr char kSpecFile[] = "attempt.json";
constexpr char kDatasetFile[] = "dataset.safetensors";
constexpr char kResumeFolder[] = "checkpoint";
constexpr char kInitFile[] = "init.weights";
constexpr char kWeightsFile[] = "weights.safetensors";
constexpr char kOofFile[] = "oof.safetensors";

// A wrong folder is not a wrong configuration: another attempt may do better.
absl::Status AsInternal(const absl::Status& status) {
  if (status.ok()) return status;
  return absl::InternalError(status.message());
}

// No other attempt will find fewer epochs in the checkpoint.
absl::Status AsResumeError(const absl::Status& status) {
  return absl::IsFailedPrecondition(status)
             ? absl::InvalidArgumentError(status.message())
             : AsInternal(status);
}

// A name in the configuration that the dataset lacks will never be there.
absl::Status AsBadConfiguration(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::InvalidArgumentError(status.message())
                                  : status;
}

class Attempt {
 public:
  Attempt(std::string directory, AttemptSpec spec,
          std::shared_ptr<const PreparedDataset> dataset, EventWriter& events,
          const std::function<bool()>& stop, Clock& clock)
      : directory_(std::move(directory)),
        spec_(std::move(spec)),
        dataset_(std::move(dataset)),
        events_(events),
        stop_(stop),
        clock_(clock) {}

  absl::Status Run() {
    if (std::holds_alternative<NoneOptions>(spec_.arch)) return RunPrior();
    FOLDFARM_RETURN_IF_ERROR(Prepare());
    const absl::Status trained = Train();
    if (absl::IsCancelled(trained)) {
      FOLDFARM_RETURN_IF_ERROR(Checkpoint());
    }
    return trained;
  }

 private:
  absl::Status RunPrior();
  absl::Status Prepare();
  absl::Status Train();
  absl::Status Checkpoint();
  absl::Status Finish(const Predictions& predictions, Metrics metrics);

  std::map<std::string, std::string> Metadata() const {
    return {{"job", spec_.job}, {"model", spec_.model_json}};
  }

  const std::string directory_;
  const AttemptSpec spec_;
  const std::shared_ptr<const PreparedDataset> dataset_;
  EventWriter& events_;
  const std::function<bool()>& stop_;
  Clock& clock_;
  std::unique_ptr<StagedTraining> run_;
  int saved_epoch_ = 0;  // Of the newest checkpoint that the worker has.
};

absl::Status Attempt::RunPrior() {
  events_.Started(/*epochs=*/1, /*resumed_epoch=*/0, "cpu");
  FOLDFARM_ASSIGN_OR_RETURN(const Predictions predictions,
                            PredictPrior(*dataset_, spec_));
  FOLDFARM_ASSIGN_OR_RETURN(const Metrics metrics,
                            ScorePredictions(*dataset_, spec_, predictions));
  events_.Epoch(1, metrics);
  TensorFileWriter weights;
  weights.SetMetadata("format", "foldfarm-weights");
  for (const auto& [key, value] : Metadata()) weights.SetMetadata(key, value);
  const size_t labels = predictions.num_labels;
  const size_t known = std::min(labels, predictions.probabilities.size());
  weights.AddF32("prior", {static_cast<int64_t>(known)},
                 absl::MakeConstSpan(predictions.probabilities).first(known));
  FOLDFARM_RETURN_IF_ERROR(WriteFileDurably(JoinPath(directory_, kWeightsFile),
                                            weights.Serialize()));
  return Finish(predictions, {{"train_seconds", 0}, {"epochs", 1}});
}

absl::Status Attempt::Prepare() {
  FOLDFARM_RETURN_IF_ERROR(CheckDevice(spec_.device));
  ConfigureTorch(spec_.threads, spec_.device);
  StagedTrainingInput input;
  FOLDFARM_ASSIGN_OR_RETURN(input.label_columns,
                            LabelColumns(dataset_->header(), spec_.labels));
  SeedWeights(spec_.seed);
  FOLDFARM_ASSIGN_OR_RETURN(
      input.model,
      BuildModel(spec_.arch, static_cast<int>(input.label_columns.size())));
  const std::string resume = JoinPath(directory_, kResumeFolder);
  if (!spec_.init.weights.empty() && !IsDirectory(resume)) {
    FOLDFARM_ASSIGN_OR_RETURN(
        const std::vector<std::string> report,
        LoadInitialWeights(JoinPath(directory_, kInitFile), spec_.init,
                           *input.model));
    for (const std::string& line : report) events_.Log("info", line);
  }
  input.dataset = dataset_;
  input.train_samples = spec_.train_samples;
  input.validation_samples = spec_.validation_samples;
  input.render = spec_.render;
  input.stages = spec_.stages;
  if (input.stages.empty()) {
    input.stages.push_back({.samples = {}, .train = spec_.train});
  }
  input.seed = spec_.seed;
  input.device = spec_.device;
  input.metadata = Metadata();
  input.clock = &clock_;
  input.log = [this](absl::string_view line) { events_.Log("info", line); };
  FOLDFARM_ASSIGN_OR_RETURN(run_, StagedTraining::Create(std::move(input)));
  if (IsDirectory(resume)) {
    FOLDFARM_RETURN_IF_ERROR(AsResumeError(run_->LoadCheckpoint(resume)));
  }
  saved_epoch_ = run_->epoch();
  events_.Started(run_->total_epochs(), run_->epoch(), spec_.device);
  return absl::OkStatus();
}

absl::Status Attempt::Train() {
  absl::Duration last_checkpoint = clock_.Monotonic();
  while (!run_->done()) {
    FOLDFARM_ASSIGN_OR_RETURN(const Metrics metrics, run_->TrainEpoch(stop_));
    events_.Epoch(run_->epoch(), metrics);
    const TrainOptions& options = run_->options();
    const bool by_time = options.checkpoint_minutes > 0 &&
                         clock_.Monotonic() - last_checkpoint >=
                             absl::Minutes(1) * options.checkpoint_minutes;
    const bool by_epochs = options.checkpoint_epochs > 0 &&
                           run_->epoch() % options.checkpoint_epochs == 0;
    if ((by_time || by_epochs) && !run_->done()) {
      FOLDFARM_RETURN_IF_ERROR(Checkpoint());
      last_checkpoint = clock_.Monotonic();
    }
  }
  // What can be trained on is the state before Finish, which may put averaged
  // or earlier weights in place.
  if (run_->options().keep_checkpoint) {
    FOLDFARM_RETURN_IF_ERROR(Checkpoint());
  }
  FOLDFARM_RETURN_IF_ERROR(run_->Finish(stop_));
  FOLDFARM_ASSIGN_OR_RETURN(const Predictions predictions,
                            run_->Predict(spec_.tta, stop_));
  FOLDFARM_RETURN_IF_ERROR(
      run_->SaveWeights(JoinPath(directory_, kWeightsFile)));
  Metrics metrics = {{"train_seconds", run_->train_seconds()},
                     {"epochs", run_->epoch()}};
  if (run_->stopping().patience > 0) {
    metrics["best_epoch"] = run_->stopping().best_epoch;
  }
  return Finish(predictions, std::move(metrics));
}

// Saves the last finished epoch unless the worker has it.
absl::Status Attempt::Checkpoint() {
  if (run_->epoch() <= saved_epoch_) return absl::OkStatus();
  const std::string name = absl::StrFormat("checkpoint-%06d", run_->epoch());
  FOLDFARM_RETURN_IF_ERROR(run_->SaveCheckpoint(JoinPath(directory_, name)));
  saved_epoch_ = run_->epoch();
  events_.Checkpoint(saved_epoch_, name);
  return absl::OkStatus();
}

// Writes the predictions and says their scores beside `metrics`.
absl::Status Attempt::Finish(const Predictions& predictions, Metrics metrics) {
  FOLDFARM_RETURN_IF_ERROR(CheckProbabilities(predictions));
  FOLDFARM_RETURN_IF_ERROR(WriteOofFile(JoinPath(directory_, kOofFile),
                                        *dataset_, spec_, predictions));
  FOLDFARM_ASSIGN_OR_RETURN(const Metrics scores,
                            ScorePredictions(*dataset_, spec_, predictions));
  metrics.insert(scores.begin(), scores.end());
  events_.Finished({kWeightsFile, kOofFile}, metrics);
  return absl::OkStatus();
}

absl::Status RunUnguarded(const std::string& directory, EventWriter& events,
                          const std::function<bool()>& stop, Clock& clock) {
  const std::string spec_path = JoinPath(directory, kSpecFile);
  const absl::StatusOr<std::string> json = ReadFile(spec_path);
  FOLDFARM_RETURN_IF_ERROR(AsInternal(json.status()));
  FOLDFARM_ASSIGN_OR_RETURN(AttemptSpec spec,
                            ParseAttemptSpec(*json, kSpecFile));
  auto dataset = PreparedDataset::Open(JoinPath(directory, kDatasetFile));
  FOLDFARM_RETURN_IF_ERROR(AsInternal(dataset.status()));
  if (!spec.predict_samples.empty()) {
    return AsBadConfiguration(
        RunPredictAttempt(directory, spec, **dataset, events, stop, clock));
  }
  if (std::holds_alternative<XgboostOptions>(spec.arch)) {
    return AsBadConfiguration(
        RunTreeAttempt(directory, spec, **dataset, events, stop, clock));
  }
  Attempt attempt(directory, std::move(spec), *std::move(dataset), events, stop,
                  clock);
  return AsBadConfiguration(attempt.Run());
}

}  // namespace

absl::Status RunAttempt(const std::string& directory, EventWriter& events,
                        const std::function<bool()>& stop, Clock& clock) {
  const absl::Status status = CatchTorchErrors(
      [&] { return RunUnguarded(directory, events, stop, clock); });
  if (!status.ok() && !absl::IsCancelled(status)) events.Failed(status);
  return status;
}

int ExitStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitDone;
    case absl::StatusCode::kCancelled:
      return kExitStopped;
    case absl::StatusCode::kInvalidArgument:
      return kExitBadConfiguration;
    case absl::StatusCode::kResourceExhausted:
      return kExitOutOfMemory;
    default:
      return kExitFailed;
  }
}

}  // namespace foldfarm
