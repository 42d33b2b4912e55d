#include "worker/trainer/tree_attempt.h"

#include <torch/torch.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "worker/gbm/tree_training.h"
#include "worker/models/band_features.h"
#include "worker/render/renderer.h"
#include "worker/trainer/predictions.h"
#include "worker/trainer/predictor.h"
#include "worker/training/labels.h"
#include "worker/training/test_time.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

constexpr char kResumeFolder[] = "checkpoint";
constexpr char kOofFile[] = "oof.safetensors";
// Images drawn at a time.
constexpr int64_t kDrawBatch = 64;

class TreeAttempt {
 public:
  TreeAttempt(const std::string& directory, const AttemptSpec& spec,
              const PreparedDataset& dataset, EventWriter& events,
              const std::function<bool()>& stop, Clock& clock)
      : directory_(directory),
        spec_(spec),
        options_(std::get<XgboostOptions>(spec.arch)),
        dataset_(dataset),
        events_(events),
        stop_(stop),
        clock_(clock) {}

  absl::Status Run() {
    FOLDFARM_RETURN_IF_ERROR(Prepare());
    const absl::Status trained = Train();
    if (absl::IsCancelled(trained)) FOLDFARM_RETURN_IF_ERROR(Checkpoint());
    return trained;
  }

 private:
  absl::Status Prepare();
  absl::Status Train();
  absl::Status Checkpoint();
  absl::StatusOr<Predictions> Predict();

  int64_t num_train() const {
    return static_cast<int64_t>(spec_.train_samples.size());
  }
  int64_t num_validation() const {
    return static_cast<int64_t>(spec_.validation_samples.size());
  }
  // Appends a row of each of `count` samples from `first` on; and their labels,
  // which mixing changes, where these are wanted.
  absl::Status Draw(int64_t first, int64_t count, DrawMode mode, uint64_t seed,
                    FeatureTable& table, std::vector<float>* labels);

  const std::string& directory_;
  const AttemptSpec& spec_;
  const XgboostOptions& options_;
  const PreparedDataset& dataset_;
  EventWriter& events_;
  const std::function<bool()>& stop_;
  Clock& clock_;
  std::vector<int64_t> columns_;  // The labels, among the dataset's.
  std::unique_ptr<BandFeatures> features_;
  std::unique_ptr<Renderer> renderer_;
  std::unique_ptr<TreeTraining> training_;
  int saved_epoch_ = 0;  // Of the newest checkpoint that the worker has.
};

absl::Status TreeAttempt::Draw(int64_t first, int64_t count, DrawMode mode,
                               uint64_t seed, FeatureTable& table,
                               std::vector<float>* labels) {
  table.columns = features_->size();
  if (count == 0) return absl::OkStatus();
  renderer_->Seed(seed);
  const at::Tensor positions =
      at::arange(first, first + count, at::dtype(at::kLong));
  const at::Tensor columns =
      at::tensor(at::ArrayRef<int64_t>(columns_), at::kLong);
  const auto append = [](const at::Tensor& from, std::vector<float>& to) {
    const at::Tensor values = from.contiguous();
    const float* begin = values.data_ptr<float>();
    to.insert(to.end(), begin, begin + values.numel());
  };
  for (const at::Tensor& part : positions.split(kDrawBatch)) {
    if (stop_()) return absl::CancelledError("stopped while drawing");
    at::Tensor images, its_labels;
    renderer_->Draw(part, mode, images, its_labels);
    append(features_->Compute(images), table.values);
    if (labels != nullptr) append(its_labels.index_select(1, columns), *labels);
  }
  table.rows += count;
  return absl::OkStatus();
}

absl::Status TreeAttempt::Prepare() {
  if (!spec_.stages.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "stages has ", spec_.stages.size(),
        " entries, but trees are not trained in stages; remove them"));
  }
  if (!spec_.init.weights.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "init.weights is \"", spec_.init.weights,
        "\", but trees do not start from another model's weights"));
  }
  if (num_train() < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "train_samples has ", num_train(), " ids, expected at least 2"));
  }
  ConfigureTorch(spec_.threads, "cpu");
  TreeInput input;
  FOLDFARM_ASSIGN_OR_RETURN(columns_,
                            LabelColumns(dataset_.header(), spec_.labels));
  FOLDFARM_ASSIGN_OR_RETURN(
      PositiveWeights weights,
      WeighPositives(dataset_, spec_.train_samples, columns_, spec_.train));
  FOLDFARM_ASSIGN_OR_RETURN(BandFeatures features,
                            BandFeatures::Create(options_.features));
  features_ = std::make_unique<BandFeatures>(std::move(features));
  std::vector<std::string> samples = spec_.train_samples;
  samples.insert(samples.end(), spec_.validation_samples.begin(),
                 spec_.validation_samples.end());
  FOLDFARM_ASSIGN_OR_RETURN(
      renderer_,
      Renderer::Create(dataset_, samples, num_train(), spec_.render, "cpu"));

  input.options = options_;
  input.labels = LabelNames(dataset_.header(), columns_);
  input.feature_names = features_->names();
  for (int draw = 0; draw < options_.draws; ++draw) {
    FOLDFARM_RETURN_IF_ERROR(
        Draw(0, num_train(), DrawMode::kTrain,
             DeriveStreamSeed(spec_.seed, kImageStream, draw), input.train,
             &input.train_labels));
  }
  // The same draw for every score: what changes between them is the trees.
  FOLDFARM_RETURN_IF_ERROR(Draw(num_train(), num_validation(),
                                DrawMode::kValidate,
                                DeriveStreamSeed(spec_.seed, kScoreStream, 0),
                                input.validation, &input.validation_labels));
  input.positive_weights = std::move(weights.weights);
  input.train_options = spec_.train;
  input.seed = spec_.seed;
  input.threads = spec_.threads;
  input.metadata = {{"job", spec_.job}, {"model", spec_.model_json}};
  input.clock = &clock_;
  FOLDFARM_ASSIGN_OR_RETURN(training_, TreeTraining::Create(std::move(input)));
  const std::string resume = JoinPath(directory_, kResumeFolder);
  if (IsDirectory(resume)) {
    const absl::Status loaded = training_->LoadCheckpoint(resume);
    if (absl::IsFailedPrecondition(loaded)) {
      return absl::InvalidArgumentError(loaded.message());
    }
    // Another attempt may do better.
    if (!loaded.ok()) return absl::InternalError(loaded.message());
  }
  saved_epoch_ = training_->epoch();
  events_.Started(training_->epochs(), training_->epoch(), "cpu");
  return absl::OkStatus();
}

absl::Status TreeAttempt::Train() {
  const TrainOptions& options = spec_.train;
  absl::Duration last_checkpoint = clock_.Monotonic();
  while (!training_->done()) {
    FOLDFARM_ASSIGN_OR_RETURN(const Metrics metrics,
                              training_->TrainEpoch(stop_));
    const int epoch = training_->epoch();
    events_.Epoch(epoch, metrics);
    const bool by_time = options.checkpoint_minutes > 0 &&
                         clock_.Monotonic() - last_checkpoint >=
                             absl::Minutes(1) * options.checkpoint_minutes;
    const bool by_epochs =
        options.checkpoint_epochs > 0 && epoch % options.checkpoint_epochs == 0;
    if ((by_time || by_epochs) && !training_->done()) {
      FOLDFARM_RETURN_IF_ERROR(Checkpoint());
      last_checkpoint = clock_.Monotonic();
    }
  }
  if (training_->epoch() < training_->epochs()) {
    events_.Log(
        "info",
        absl::StrFormat(
            "stopped early after epoch %d of %d: the held-out log loss "
            "has not improved for %d scores",
            training_->epoch(), training_->epochs(), options.early_stopping));
  }
  if (options.keep_checkpoint) FOLDFARM_RETURN_IF_ERROR(Checkpoint());
  FOLDFARM_ASSIGN_OR_RETURN(const Predictions predictions, Predict());
  FOLDFARM_ASSIGN_OR_RETURN(std::vector<std::string> files,
                            training_->SaveResults(directory_));
  FOLDFARM_RETURN_IF_ERROR(WriteOofFile(JoinPath(directory_, kOofFile),
                                        dataset_, spec_, predictions));
  files.push_back(kOofFile);
  FOLDFARM_ASSIGN_OR_RETURN(Metrics metrics,
                            ScorePredictions(dataset_, spec_, predictions));
  metrics["train_seconds"] = training_->train_seconds();
  metrics["epochs"] = training_->epoch();
  if (training_->stopping().patience > 0) {
    metrics["best_epoch"] = training_->stopping().best_epoch;
  }
  events_.Finished(files, metrics);
  return absl::OkStatus();
}

absl::StatusOr<Predictions> TreeAttempt::Predict() {
  FOLDFARM_ASSIGN_OR_RETURN(const auto trees, training_->Trees());
  return PredictDraws(
      {.renderer = renderer_.get(),
       .first = num_train(),
       .count = num_validation(),
       .num_labels = static_cast<int64_t>(columns_.size()),
       .tta = spec_.tta,
       .seed = spec_.seed},
      [&](const at::Tensor& images) {
        return TreeProbabilities(*features_, *trees, images);
      },
      stop_);
}

// Saves the last finished epoch unless the worker has it.
absl::Status TreeAttempt::Checkpoint() {
  if (training_ == nullptr || training_->epoch() <= saved_epoch_) {
    return absl::OkStatus();
  }
  const std::string name =
      absl::StrFormat("checkpoint-%06d", training_->epoch());
  FOLDFARM_RETURN_IF_ERROR(
      training_->SaveCheckpoint(JoinPath(directory_, name)));
  saved_epoch_ = training_->epoch();
  events_.Checkpoint(saved_epoch_, name);
  return absl::OkStatus();
}

}  // namespace

absl::Status RunTreeAttempt(const std::string& directory,
                            const AttemptSpec& spec,
                            const PreparedDataset& dataset, EventWriter& events,
                            const std::function<bool()>& stop, Clock& clock) {
  return TreeAttempt(directory, spec, dataset, events, stop, clock).Run();
}

}  // namespace foldfarm
