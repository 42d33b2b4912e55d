#include "worker/training/staged_training.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "worker/training/checkpoint.h"
#include "worker/training/labels.h"

namespace foldfarm {

absl::StatusOr<std::unique_ptr<StagedTraining>> StagedTraining::Create(
    StagedTrainingInput input) {
  std::unique_ptr<StagedTraining> result(new StagedTraining(std::move(input)));
  for (size_t i = 0; i < result->input_.stages.size(); ++i) {
    FOLDFARM_RETURN_IF_ERROR(result->PrepareStage(i));
  }
  FOLDFARM_RETURN_IF_ERROR(result->BeginStage(0, 0, 0));
  return result;
}

int StagedTraining::total_epochs() const {
  int total = 0;
  for (const Stage& stage : stages_) total += stage.options.train.epochs;
  return total;
}

absl::Status StagedTraining::PrepareStage(size_t index) {
  const PreparedDataset& dataset = *input_.dataset;
  Stage stage;
  stage.options = input_.stages[index];
  FOLDFARM_ASSIGN_OR_RETURN(
      stage.train_samples,
      SelectSamples(dataset, input_.train_samples, stage.options.samples,
                    absl::StrCat("stages[", index, "].samples")));
  FOLDFARM_ASSIGN_OR_RETURN(
      const PositiveWeights positive,
      WeighPositives(dataset, stage.train_samples, input_.label_columns,
                     stage.options.train));
  if (!positive.none()) stage.positive_weights = positive.weights;
  if (!positive.no_positive.empty()) {
    Log(absl::StrCat("train.balance: none of ", stage.train_samples.size(),
                     " train samples has ",
                     absl::StrJoin(positive.no_positive, ", "),
                     "; their positives weigh 1"));
  }
  stages_.push_back(std::move(stage));
  return absl::OkStatus();
}

absl::Status StagedTraining::BeginStage(size_t index, int earlier_epochs,
                                        double earlier_seconds) {
  run_.reset();  // Two optimizers need more memory than one.
  current_ = index;
  const auto num_train = static_cast<int64_t>(stage().train_samples.size());
  if (renderer_ == nullptr || rendered_ != stage().train_samples) {
    renderer_.reset();
    std::vector<std::string> samples = stage().train_samples;
    samples.insert(samples.end(), input_.validation_samples.begin(),
                   input_.validation_samples.end());
    FOLDFARM_ASSIGN_OR_RETURN(
        renderer_, Renderer::Create(*input_.dataset, samples, num_train,
                                    input_.render, input_.device));
    rendered_ = stage().train_samples;
  }
  TrainingInput input;
  input.model = input_.model;
  input.renderer = renderer_.get();
  input.num_train = num_train;
  input.num_validation = static_cast<int64_t>(input_.validation_samples.size());
  if (static_cast<int64_t>(input_.label_columns.size()) !=
      input_.dataset->num_labels()) {
    input.label_columns = input_.label_columns;
  }
  input.positive_weights = stage().positive_weights;
  input.options = stage().options.train;
  input.seed = input_.seed;
  input.device = input_.device;
  input.stage = static_cast<int>(index);
  input.earlier_epochs = earlier_epochs;
  input.earlier_seconds = earlier_seconds;
  input.metadata = input_.metadata;
  input.clock = input_.clock;
  FOLDFARM_ASSIGN_OR_RETURN(run_, TrainingRun::Create(std::move(input)));
  return absl::OkStatus();
}

absl::StatusOr<Metrics> StagedTraining::TrainEpoch(const StopRequested& stop) {
  if (run_->done() && !is_last_stage()) {
    FOLDFARM_RETURN_IF_ERROR(run_->Finish(stop));
    FOLDFARM_RETURN_IF_ERROR(
        BeginStage(current_ + 1, run_->epoch(), run_->train_seconds()));
    Log(absl::StrFormat("stage %d of %d: %d train samples, %d epochs",
                        current_ + 1, stages_.size(),
                        stage().train_samples.size(), options().epochs));
  }
  FOLDFARM_ASSIGN_OR_RETURN(Metrics metrics, run_->TrainEpoch(stop));
  if (stages_.size() > 1) metrics["stage"] = static_cast<double>(current_ + 1);
  const EarlyStopping& stopping = run_->stopping();
  if (stopping.ShouldStop()) {
    Log(absl::StrFormat(
        "stopped early after epoch %d: log_loss has not fallen in %d scores; "
        "back to epoch %d with %.4f",
        run_->epoch(), stopping.worse, stopping.best_epoch,
        stopping.best_loss));
  }
  return metrics;
}

absl::Status StagedTraining::LoadCheckpoint(const std::string& directory) {
  FOLDFARM_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                            Checkpoint::Open(directory));
  FOLDFARM_ASSIGN_OR_RETURN(const double stage, checkpoint.Number("stage", 0));
  FOLDFARM_ASSIGN_OR_RETURN(const double earlier_epochs,
                            checkpoint.Number("earlier_epochs", 0));
  if (stage >= static_cast<double>(stages_.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat(checkpoint.state_path(), ": belongs to stage ", stage,
                     ", expected less than ", stages_.size()));
  }
  const auto index = static_cast<size_t>(stage);
  if (index != current_) {
    FOLDFARM_RETURN_IF_ERROR(
        BeginStage(index, static_cast<int>(earlier_epochs), 0));
  }
  return run_->LoadCheckpoint(directory);
}

}  // namespace foldfarm
