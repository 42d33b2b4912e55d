// A training in stages: each on its own samples with its own options, each from
// the weights of the one before. Most have one stage.
//
// Epochs are numbered through all stages. A checkpoint belongs to a stage and
// knows which; resuming goes on there, without the earlier ones. So only the
// last stage of a whole training can be trained on for more epochs.
//
// Torch's exceptions pass through. Not thread-safe.
#ifndef FOLDFARM_WORKER_TRAINING_STAGED_TRAINING_H_
#define FOLDFARM_WORKER_TRAINING_STAGED_TRAINING_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/clock.h"
#include "common/spectra/prepared_dataset.h"
#include "worker/models/model.h"
#include "worker/render/render_options.h"
#include "worker/render/renderer.h"
#include "worker/training/train_options.h"
#include "worker/training/training_run.h"

namespace foldfarm {

struct StagedTrainingInput {
  std::shared_ptr<const PreparedDataset> dataset;
  std::vector<std::string> train_samples, validation_samples;
  RenderOptions render;
  std::vector<StageOptions> stages;  // At least one.
  // The dataset's labels that the network has, in its order.
  std::vector<int64_t> label_columns;
  std::shared_ptr<Model> model;  // With the weights to start from.
  uint32_t seed = 0;
  std::string device = "cpu";
  std::map<std::string, std::string> metadata;  // As in TrainingInput.
  Clock* clock = nullptr;                       // Borrowed.
  // Told what a person may want to know; may be empty.
  std::function<void(absl::string_view)> log;
};

class StagedTraining {
 public:
  // Checks every stage and begins the first. Errors: INVALID_ARGUMENT for
  // options that no stage can keep (samples that leave fewer than two, a weight
  // of an unknown label, ...); NOT_FOUND for a sample that the dataset lacks.
  static absl::StatusOr<std::unique_ptr<StagedTraining>> Create(
      StagedTrainingInput input);

  // Epochs finished, and those of all stages together; with early stopping the
  // training ends before.
  int epoch() const { return run_->epoch(); }
  int total_epochs() const;
  bool done() const { return is_last_stage() && run_->done(); }
  double train_seconds() const { return run_->train_seconds(); }

  // The options of the stage under way.
  const TrainOptions& options() const { return stage().options.train; }
  const EarlyStopping& stopping() const { return run_->stopping(); }

  // As TrainingRun's; TrainEpoch goes on to the next stage where it must.
  absl::StatusOr<Metrics> TrainEpoch(const StopRequested& stop);
  absl::Status Finish(const StopRequested& stop) { return run_->Finish(stop); }
  absl::StatusOr<Predictions> Predict(int tta, const StopRequested& stop) {
    return run_->Predict(tta, stop);
  }
  absl::Status SaveCheckpoint(const std::string& directory) {
    return run_->SaveCheckpoint(directory);
  }
  absl::Status LoadCheckpoint(const std::string& directory);
  absl::Status SaveWeights(const std::string& path) {
    return run_->SaveWeights(path);
  }

 private:
  struct Stage {
    StageOptions options;
    std::vector<std::string> train_samples;
    std::vector<double> positive_weights;  // Empty: all 1.
  };

  explicit StagedTraining(StagedTrainingInput input)
      : input_(std::move(input)) {}
  absl::Status PrepareStage(size_t index);
  absl::Status BeginStage(size_t index, int earlier_epochs,
                          double earlier_seconds);
  const Stage& stage() const { return stages_[current_]; }
  bool is_last_stage() const { return current_ + 1 == stages_.size(); }
  void Log(absl::string_view message) const {
    if (input_.log) input_.log(message);
  }

  const StagedTrainingInput input_;
  std::vector<Stage> stages_;
  size_t current_ = 0;
  std::vector<std::string> rendered_;  // Train samples of `renderer_`.
  std::unique_ptr<Renderer> renderer_;
  std::unique_ptr<TrainingRun> run_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_STAGED_TRAINING_H_
