#include "worker/training/training_run.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "worker/training/autocast.h"
#include "worker/training/batch_statistics.h"
#include "worker/training/checkpoint.h"
#include "worker/training/held_out.h"
#include "worker/training/loss.h"
#include "worker/training/optimizer.h"
#include "worker/training/option_check.h"
#include "worker/training/schedule.h"
#include "worker/training/tensor_io.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

// Before the names of the best weights' tensors in a checkpoint.
constexpr char kBest[] = "best/";

// Samples in their order, cut into batches. A last batch of one sample is left
// out: it has no variance to normalize by.
class Batches {
 public:
  Batches(at::Tensor order, int64_t batch)
      : order_(std::move(order)), batch_(std::min(batch, order_.size(0))) {}

  int64_t size() const {
    return order_.size(0) / batch_ + (order_.size(0) % batch_ > 1 ? 1 : 0);
  }
  int64_t num_samples() const {
    return std::min(size() * batch_, order_.size(0));
  }
  at::Tensor operator[](int64_t i) const {
    const int64_t begin = i * batch_;
    return order_.narrow(0, begin, std::min(batch_, order_.size(0) - begin));
  }

 private:
  const at::Tensor order_;
  const int64_t batch_;
};

}  // namespace

struct TrainingRun::State {
  at::Device device = at::kCPU;
  std::unique_ptr<Optimizer> optimizer;
  at::Tensor label_columns;     // I64 [L], or none: all.
  at::Tensor positive_weights;  // [L], or none.
  HeldOut held_out;

  // The state at the start of an epoch, to return to: tensors and copies.
  std::vector<at::Tensor> live, boundary;
  int64_t boundary_steps = 0;

  // Copies of the weights that scored best, for early stopping.
  NamedTensors best;

  at::Tensor Chosen(const at::Tensor& labels) const {
    return label_columns.defined() ? labels.index_select(1, label_columns)
                                   : labels;
  }
  // The optimizer's state and those weights.
  NamedTensors With(const NamedTensors& best_weights) const {
    NamedTensors all = optimizer->NamedState();
    for (const auto& [name, tensor] : best_weights) {
      all.emplace_back(absl::StrCat(kBest, name), tensor);
    }
    return all;
  }
  // The tensors to read from a checkpoint. Early stopping may have been
  // switched on or off since that was written; then its best weights are as
  // good as none.
  NamedTensors Expected(const Checkpoint& checkpoint,
                        const NamedTensors& weights) const {
    if (!checkpoint.HasState(kBest)) return With({});
    if (!best.empty()) return With(best);
    NamedTensors unwanted;
    for (const auto& [name, tensor] : weights) {
      unwanted.emplace_back(name, at::empty_like(tensor));
    }
    return With(unwanted);
  }
};

TrainingRun::TrainingRun(TrainingInput input, std::unique_ptr<State> state)
    : input_(std::move(input)),
      state_(std::move(state)),
      train_seconds_(input_.earlier_seconds) {
  stopping_.patience = input_.options.early_stopping;
  stopping_.min_delta = input_.options.early_stopping_min_delta;
}
TrainingRun::~TrainingRun() = default;

absl::StatusOr<std::unique_ptr<TrainingRun>> TrainingRun::Create(
    TrainingInput input) {
  FOLDFARM_RETURN_IF_ERROR(
      CheckTrainOptions(input.options, input.num_train, input.num_validation));
  auto state = std::make_unique<State>();
  state->device = at::Device(input.device);
  torch::nn::Module& network = input.model->module();
  network.to(state->device);
  state->optimizer = std::make_unique<Optimizer>(network, input.options);
  state->live = state->optimizer->FlatState();
  for (const at::Tensor& buffer : network.buffers()) {
    state->live.push_back(buffer);
  }
  if (!input.label_columns.empty()) {
    state->label_columns =
        at::tensor(input.label_columns, at::kLong).to(state->device);
  }
  if (!input.positive_weights.empty()) {
    state->positive_weights =
        at::tensor(input.positive_weights, at::kDouble)
            .to(at::TensorOptions(state->device).dtype(at::kFloat));
  }
  const at::Tensor labels =
      state->Chosen(input.renderer->labels())
          .narrow(0, input.num_train, input.num_validation)
          .cpu()
          .contiguous();
  const float* values = labels.data_ptr<float>();
  state->held_out = {.model = input.model,
                     .renderer = input.renderer,
                     .first = input.num_train,
                     .count = input.num_validation,
                     .num_labels = labels.size(1),
                     .labels = {values, values + labels.numel()},
                     .bf16 = input.options.precision == Precision::kBf16,
                     .device = input.device,
                     .seed = input.seed};
  if (input.options.early_stopping > 0) {
    for (const auto& [name, tensor] : NamedWeights(network)) {
      state->best.emplace_back(name, tensor.clone());
    }
  }
  return std::unique_ptr<TrainingRun>(
      new TrainingRun(std::move(input), std::move(state)));
}

uint64_t TrainingRun::Seed(uint64_t stream, uint64_t index) const {
  return DeriveStreamSeed(input_.seed, stream, index);
}

void TrainingRun::KeepBoundary() {
  const at::NoGradGuard no_grad;
  State& state = *state_;
  if (state.boundary.empty()) {
    for (const at::Tensor& tensor : state.live) {
      state.boundary.push_back(tensor.clone());
    }
  } else {
    for (size_t i = 0; i < state.live.size(); ++i) {
      state.boundary[i].copy_(state.live[i]);
    }
  }
  state.boundary_steps = state.optimizer->steps();
}

void TrainingRun::ReturnToBoundary() {
  const at::NoGradGuard no_grad;
  State& state = *state_;
  for (size_t i = 0; i < state.live.size(); ++i) {
    state.live[i].copy_(state.boundary[i]);
  }
  state.optimizer->set_steps(state.boundary_steps);
}

// One pass over the train samples; the mean loss and the last learning rate.
absl::StatusOr<double> TrainingRun::TrainBatches(const StopRequested& stop,
                                                 double* lr) {
  State& state = *state_;
  const TrainOptions& options = input_.options;
  input_.renderer->Seed(Seed(kImageStream, epoch()));
  torch::manual_seed(Seed(kOrderStream, epoch()));
  const Batches batches(
      at::randperm(input_.num_train, at::dtype(at::kLong)).to(state.device),
      options.batch);
  torch::manual_seed(Seed(kDropoutStream, epoch()));
  at::Tensor loss_sum =
      at::zeros({}, at::TensorOptions(state.device).dtype(at::kFloat));
  input_.model->module().train();
  for (int64_t step = 0; step < batches.size(); ++step) {
    if (stop()) {
      return absl::CancelledError(
          absl::StrCat("stopped in epoch ", epoch() + 1));
    }
    const double position = epoch_ + static_cast<double>(step) /
                                         static_cast<double>(batches.size());
    *lr = options.lr *
          LearningRateFactor(options.schedule, options.epochs, position);
    const at::Tensor positions = batches[step];
    at::Tensor images, labels;
    input_.renderer->Draw(positions, DrawMode::kTrain, images, labels);
    labels = state.Chosen(labels);
    at::Tensor logits;
    {
      const AutocastScope autocast(options.precision == Precision::kBf16,
                                   state.device.is_cuda());
      logits = input_.model->Forward(images);
    }
    at::Tensor loss = TrainingLoss(options, logits.to(at::kFloat), labels,
                                   state.positive_weights);
    const at::Tensor auxiliary = input_.model->AuxiliaryLoss();
    if (auxiliary.defined()) loss = loss + auxiliary.to(at::kFloat);
    state.optimizer->ZeroGradients();
    loss.backward();
    state.optimizer->Step(*lr);
    loss_sum.add_(loss.detach(), static_cast<double>(positions.size(0)));
  }
  return loss_sum.item<double>() / static_cast<double>(batches.num_samples());
}

absl::StatusOr<Metrics> TrainingRun::TrainEpoch(const StopRequested& stop) {
  State& state = *state_;
  const TrainOptions& options = input_.options;
  const absl::Duration start = input_.clock->Monotonic();
  KeepBoundary();
  double lr = 0;
  const absl::StatusOr<double> train_loss = TrainBatches(stop, &lr);
  if (!train_loss.ok()) {
    ReturnToBoundary();
    return train_loss.status();
  }
  const absl::Duration trained = input_.clock->Monotonic() - start;
  if (!std::isfinite(*train_loss)) {
    ReturnToBoundary();
    return absl::InternalError(absl::StrFormat(
        "training diverged: the loss of epoch %d is %g; lower train.lr (%g) or "
        "train.grad_clip (%g)",
        epoch() + 1, *train_loss, options.lr, options.grad_clip));
  }

  Metrics metrics;
  metrics["train_loss"] = *train_loss;
  metrics["lr"] = lr;
  const int64_t batch = std::min<int64_t>(options.batch, input_.num_train);
  const int64_t left_out = input_.num_train % batch == 1 ? 1 : 0;
  metrics["samples_per_second"] =
      static_cast<double>(input_.num_train - left_out) /
      std::max(absl::ToDoubleSeconds(trained), 1e-9);
  const bool last = epoch_ + 1 >= options.epochs;
  if (input_.num_validation > 0 &&
      (last || (epoch_ + 1) % options.validate_every == 0)) {
    const absl::Status scored = Score(metrics, stop);
    if (!scored.ok()) {
      ReturnToBoundary();
      return scored;
    }
    if (options.early_stopping > 0 &&
        stopping_.Add(metrics["log_loss"], epoch() + 1)) {
      KeepBest();
    }
  }
  int before = 0;
  if (EntersWeightAverage(options, epoch_ + 1, &before, extended_from_)) {
    state.optimizer->AddToWeightAverage(before);
  }
  ++epoch_;
  const double seconds =
      absl::ToDoubleSeconds(input_.clock->Monotonic() - start);
  metrics["seconds"] = seconds;
  train_seconds_ += seconds;
  return metrics;
}

void TrainingRun::KeepBest() {
  const at::NoGradGuard no_grad;
  state_->optimizer->UseAverage();
  const NamedTensors weights = NamedWeights(input_.model->module());
  for (size_t i = 0; i < weights.size(); ++i) {
    state_->best[i].second.copy_(weights[i].second);
  }
  state_->optimizer->UseParameters();
}

absl::Status TrainingRun::Finish(const StopRequested& stop) {
  if (finished_) return absl::OkStatus();
  if (stopping_.best_epoch > 0) {
    const at::NoGradGuard no_grad;
    const NamedTensors weights = NamedWeights(input_.model->module());
    for (size_t i = 0; i < weights.size(); ++i) {
      at::Tensor weight = weights[i].second;
      weight.copy_(state_->best[i].second);
    }
  } else {
    state_->optimizer->KeepAverage();
    if (input_.options.swa_start > 0) {
      FOLDFARM_RETURN_IF_ERROR(RetakeBatchStatistics(stop));
    }
  }
  finished_ = true;
  return absl::OkStatus();
}

// One pass over the train samples as training sees them, dropout included.
absl::Status TrainingRun::RetakeBatchStatistics(const StopRequested& stop) {
  const at::NoGradGuard no_grad;
  const CumulativeBatchStatistics statistics(input_.model->module());
  if (statistics.empty()) return absl::OkStatus();
  State& state = *state_;
  const absl::Duration start = input_.clock->Monotonic();
  input_.renderer->Seed(Seed(kStatisticsStream, epoch()));
  torch::manual_seed(Seed(kStatisticsStream, epoch()));
  const Batches batches(
      at::randperm(input_.num_train, at::dtype(at::kLong)).to(state.device),
      input_.options.batch);
  input_.model->module().train();
  for (int64_t i = 0; i < batches.size(); ++i) {
    if (stop()) return absl::CancelledError("stopped while averaging weights");
    at::Tensor images, labels;
    input_.renderer->Draw(batches[i], DrawMode::kTrain, images, labels);
    const AutocastScope autocast(input_.options.precision == Precision::kBf16,
                                 state.device.is_cuda());
    input_.model->Forward(images);
  }
  train_seconds_ += absl::ToDoubleSeconds(input_.clock->Monotonic() - start);
  return absl::OkStatus();
}

absl::Status TrainingRun::Score(Metrics& metrics, const StopRequested& stop) {
  state_->optimizer->UseAverage();
  const absl::Status status = state_->held_out.Score(epoch(), stop, metrics);
  state_->optimizer->UseParameters();
  return status;
}

absl::StatusOr<Predictions> TrainingRun::Predict(int tta,
                                                 const StopRequested& stop) {
  if (!finished_) state_->optimizer->UseAverage();
  absl::StatusOr<Predictions> result = state_->held_out.Predict(tta, stop);
  if (!finished_) state_->optimizer->UseParameters();
  return result;
}

absl::Status TrainingRun::SaveCheckpoint(const std::string& directory) {
  return WriteCheckpoint(
      directory, NamedWeights(input_.model->module()),
      state_->With(state_->best), input_.metadata,
      {{"epoch", epoch_},
       {"epochs", input_.options.epochs},
       {"extended_from", extended_from_},
       {"step", static_cast<double>(state_->optimizer->steps())},
       {"seed", input_.seed},
       {"train_seconds", train_seconds_},
       {"stage", input_.stage},
       {"earlier_epochs", input_.earlier_epochs},
       {"best_loss", stopping_.best_loss},
       {"best_epoch", stopping_.best_epoch},
       {"worse", stopping_.worse}});
}

absl::Status TrainingRun::LoadCheckpoint(const std::string& directory) {
  FOLDFARM_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                            Checkpoint::Open(directory));
  FOLDFARM_ASSIGN_OR_RETURN(const double seed, checkpoint.Number("seed"));
  FOLDFARM_ASSIGN_OR_RETURN(const double stage, checkpoint.Number("stage", 0));
  if (seed != input_.seed || stage != input_.stage) {
    return absl::InvalidArgumentError(absl::StrCat(
        checkpoint.state_path(), ": belongs to seed ", seed, ", stage ", stage,
        ", expected ", input_.seed, " and ", input_.stage));
  }
  const int epochs = input_.options.epochs;
  FOLDFARM_ASSIGN_OR_RETURN(const double epoch, checkpoint.Number("epoch"));
  if (epoch > epochs) {
    return absl::FailedPreconditionError(absl::StrCat(
        checkpoint.state_path(), ": is of epoch ", epoch,
        ", but train.epochs is ", epochs, ", expected at least ", epoch));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const double former_epochs,
                            checkpoint.Number("epochs", epochs));
  FOLDFARM_ASSIGN_OR_RETURN(const double extended_from,
                            checkpoint.Number("extended_from", 0));
  FOLDFARM_ASSIGN_OR_RETURN(const double steps, checkpoint.Number("step"));
  FOLDFARM_ASSIGN_OR_RETURN(train_seconds_, checkpoint.Number("train_seconds"));
  const NamedTensors weights = NamedWeights(input_.model->module());
  FOLDFARM_RETURN_IF_ERROR(
      checkpoint.Read(weights, state_->Expected(checkpoint, weights)));
  const bool extends = epochs > former_epochs;
  epoch_ = static_cast<int>(epoch);
  extended_from_ = extends ? epoch_ : static_cast<int>(extended_from);
  state_->optimizer->set_steps(static_cast<int64_t>(steps));
  if (stopping_.patience == 0) return absl::OkStatus();
  FOLDFARM_ASSIGN_OR_RETURN(
      stopping_.best_loss, checkpoint.Number("best_loss", stopping_.best_loss));
  FOLDFARM_ASSIGN_OR_RETURN(const double best,
                            checkpoint.Number("best_epoch", 0));
  FOLDFARM_ASSIGN_OR_RETURN(const double worse, checkpoint.Number("worse", 0));
  stopping_.best_epoch = static_cast<int>(best);
  // Who asks for more epochs has patience again.
  stopping_.worse = extends ? 0 : static_cast<int>(worse);
  return absl::OkStatus();
}

absl::Status TrainingRun::SaveWeights(const std::string& path) {
  std::map<std::string, std::string> metadata = input_.metadata;
  metadata["format"] = kWeightsFormat;
  if (!finished_) state_->optimizer->UseAverage();
  const absl::Status status =
      WriteTensors(path, NamedWeights(input_.model->module()), metadata);
  if (!finished_) state_->optimizer->UseParameters();
  return status;
}

}  // namespace foldfarm
