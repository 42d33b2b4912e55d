#include "worker/training/training_run.h"

#include <malloc.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "worker/training/autocast.h"
#include "worker/training/metrics.h"
#include "worker/training/optimizer.h"
#include "worker/training/schedule.h"
#include "worker/training/tensor_io.h"

namespace foldfarm {
namespace {

constexpr char kWeightsFile[] = "weights.safetensors";
constexpr char kStateFile[] = "state.safetensors";
constexpr char kStateFormat[] = "foldfarm-state";

// Held-out samples drawn at a time.
constexpr int64_t kPredictBatch = 64;

// What a random sequence is for; part of its seed.
enum Stream : uint64_t {
  kWeightsStream,
  kOrderStream,
  kImageStream,
  kDropoutStream,
  kScoreStream,
  kPredictStream,
};

// The finalizer of splitmix64 (Steele et al., 2014): neighbours become
// strangers.
uint64_t Scramble(uint64_t z) {
  z += 0x9E3779B97F4A7C15;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
  return z ^ (z >> 31);
}

// 63 bits: some of Torch's seeds are signed.
uint64_t DeriveStreamSeed(uint64_t seed, uint64_t stream, uint64_t index) {
  return Scramble(Scramble(Scramble(seed) + stream) + index) >> 1;
}

}  // namespace

struct TrainingRun::State {
  at::Device device = at::kCPU;
  std::unique_ptr<Optimizer> optimizer;
  at::Tensor validation_labels;  // [validation, L], on the CPU.

  // The state at the start of an epoch, to return to: tensors and copies.
  std::vector<at::Tensor> live, boundary;
  int64_t boundary_steps = 0;
};

void ConfigureTorch(int threads, const std::string& device) {
  at::set_num_threads(std::max(threads, 1));
#ifdef __GLIBC__
  // Every batch asks for the same large blocks: keep them, instead of handing
  // them back to the kernel and faulting them in again.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
  // Weights near zero would otherwise slow small networks down at their end.
  at::globalContext().setFlushDenormal(true);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
  if (at::Device(device).is_cuda()) {
    // cuBLAS is deterministic only with this workspace, read when it starts.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
#if TORCH_VERSION_MAJOR >= 2 && \
    (TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 2)
    at::globalContext().setDeterministicFillUninitializedMemory(false);
#endif
  }
}

void SeedWeights(uint32_t seed) {
  torch::manual_seed(DeriveStreamSeed(seed, kWeightsStream, 0));
}

TrainingRun::TrainingRun(TrainingInput input, std::unique_ptr<State> state)
    : input_(std::move(input)), state_(std::move(state)) {}
TrainingRun::~TrainingRun() = default;

absl::StatusOr<std::unique_ptr<TrainingRun>> TrainingRun::Create(
    TrainingInput input) {
  if (input.num_train < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "train_samples has ", input.num_train, " ids, expected at least 2"));
  }
  auto state = std::make_unique<State>();
  state->device = at::Device(input.device);
  torch::nn::Module& network = input.model->module();
  network.to(state->device);
  state->optimizer = std::make_unique<Optimizer>(network, input.options);
  state->live = state->optimizer->FlatState();
  for (const at::Tensor& buffer : network.buffers()) {
    state->live.push_back(buffer);
  }
  state->validation_labels =
      input.renderer->labels()
          .narrow(0, input.num_train, input.num_validation)
          .cpu()
          .contiguous();
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

absl::StatusOr<Metrics> TrainingRun::TrainEpoch(const StopRequested& stop) {
  State& state = *state_;
  const TrainOptions& options = input_.options;
  const absl::Duration start = input_.clock->Monotonic();
  KeepBoundary();

  input_.renderer->Seed(Seed(kImageStream, epoch_));
  torch::manual_seed(Seed(kOrderStream, epoch_));
  const at::Tensor order =
      at::randperm(input_.num_train, at::dtype(at::kLong)).to(state.device);
  torch::manual_seed(Seed(kDropoutStream, epoch_));

  // A last batch of one sample is left out: it has no variance to normalize by.
  const int64_t batch = std::min<int64_t>(options.batch, input_.num_train);
  const int64_t steps =
      input_.num_train / batch + (input_.num_train % batch > 1 ? 1 : 0);
  at::Tensor loss_sum =
      at::zeros({}, at::TensorOptions(state.device).dtype(at::kFloat));
  int64_t samples = 0;
  double lr = 0;
  input_.model->module().train();
  for (int64_t step = 0; step < steps; ++step) {
    if (stop()) {
      ReturnToBoundary();
      return absl::CancelledError(
          absl::StrCat("stopped in epoch ", epoch_ + 1));
    }
    const double position =
        epoch_ + static_cast<double>(step) / static_cast<double>(steps);
    lr = options.lr *
         LearningRateFactor(options.schedule, options.epochs, position);
    const int64_t begin = step * batch;
    const int64_t size = std::min(batch, input_.num_train - begin);
    at::Tensor images, labels;
    input_.renderer->Draw(order.narrow(0, begin, size), DrawMode::kTrain,
                          images, labels);
    labels.div_(1 + 2 * options.label_smoothing).add_(options.label_smoothing);
    at::Tensor logits;
    {
      const AutocastScope autocast(options.precision == Precision::kBf16,
                                   state.device.is_cuda());
      logits = input_.model->Forward(images);
    }
    at::Tensor loss =
        at::binary_cross_entropy_with_logits(logits.to(at::kFloat), labels);
    const at::Tensor auxiliary = input_.model->AuxiliaryLoss();
    if (auxiliary.defined()) loss = loss + auxiliary.to(at::kFloat);
    state.optimizer->ZeroGradients();
    loss.backward();
    state.optimizer->Step(lr);
    loss_sum.add_(loss.detach(), static_cast<double>(size));
    samples += size;
  }
  const double train_loss =
      loss_sum.item<double>() / static_cast<double>(samples);
  const absl::Duration trained = input_.clock->Monotonic() - start;
  if (!std::isfinite(train_loss)) {
    ReturnToBoundary();
    return absl::InternalError(absl::StrFormat(
        "training diverged: the loss of epoch %d is %g; lower train.lr (%g) or "
        "train.grad_clip (%g)",
        epoch_ + 1, train_loss, options.lr, options.grad_clip));
  }

  Metrics metrics;
  metrics["train_loss"] = train_loss;
  metrics["lr"] = lr;
  metrics["samples_per_second"] =
      static_cast<double>(samples) /
      std::max(absl::ToDoubleSeconds(trained), 1e-9);
  const bool last = epoch_ + 1 >= options.epochs;
  if (input_.num_validation > 0 &&
      (last || (epoch_ + 1) % options.validate_every == 0)) {
    const absl::Status scored = Score(metrics, stop);
    if (!scored.ok()) {
      ReturnToBoundary();
      return scored;
    }
  }
  ++epoch_;
  const double seconds =
      absl::ToDoubleSeconds(input_.clock->Monotonic() - start);
  metrics["seconds"] = seconds;
  train_seconds_ += seconds;
  return metrics;
}

// One draw of every held-out sample; the scored weights are in place.
absl::StatusOr<std::vector<float>> TrainingRun::PredictDraw(
    DrawMode mode, uint64_t seed, const StopRequested& stop) {
  const at::NoGradGuard no_grad;
  State& state = *state_;
  input_.renderer->Seed(seed);
  input_.model->module().eval();
  const at::Tensor positions =
      at::arange(input_.num_train, input_.num_train + input_.num_validation,
                 at::TensorOptions(state.device).dtype(at::kLong));
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : positions.split(kPredictBatch)) {
    if (stop()) return absl::CancelledError("stopped while predicting");
    at::Tensor images, labels;
    input_.renderer->Draw(part, mode, images, labels);
    const AutocastScope autocast(input_.options.precision == Precision::kBf16,
                                 state.device.is_cuda());
    parts.push_back(input_.model->Forward(images).to(at::kFloat).sigmoid_());
  }
  const at::Tensor all = at::cat(parts).cpu().contiguous();
  const float* values = all.data_ptr<float>();
  return std::vector<float>(values, values + all.numel());
}

absl::Status TrainingRun::Score(Metrics& metrics, const StopRequested& stop) {
  state_->optimizer->UseAverage();
  const absl::StatusOr<std::vector<float>> drawn =
      PredictDraw(DrawMode::kValidate, Seed(kScoreStream, epoch_), stop);
  state_->optimizer->UseParameters();
  FOLDFARM_RETURN_IF_ERROR(drawn.status());
  const absl::Span<const float> labels(
      state_->validation_labels.data_ptr<float>(),
      state_->validation_labels.numel());
  metrics["log_loss"] = LogLossClipped(*drawn, labels, 1e-3);
  metrics["log_loss_clip_1e_2"] = LogLossClipped(*drawn, labels, 1e-2);
  metrics["accuracy"] = Accuracy(*drawn, labels);
  return absl::OkStatus();
}

absl::StatusOr<Predictions> TrainingRun::Predict(int tta,
                                                 const StopRequested& stop) {
  Predictions result;
  result.num_samples = input_.num_validation;
  result.num_labels = state_->validation_labels.size(1);
  result.num_draws = tta;
  const size_t size = result.num_samples * result.num_labels;
  if (size == 0) return result;
  std::vector<double> sum(size, 0.0);
  absl::Status status;
  state_->optimizer->UseAverage();
  for (int draw = 0; draw < tta; ++draw) {
    const absl::StatusOr<std::vector<float>> drawn =
        PredictDraw(DrawMode::kPredict, Seed(kPredictStream, draw), stop);
    status = drawn.status();
    if (!status.ok()) break;
    for (size_t i = 0; i < size; ++i) sum[i] += (*drawn)[i];
    result.draws.insert(result.draws.end(), drawn->begin(), drawn->end());
  }
  state_->optimizer->UseParameters();
  FOLDFARM_RETURN_IF_ERROR(status);
  for (const double total : sum) {
    result.probabilities.push_back(static_cast<float>(total / tta));
  }
  return result;
}

absl::Status TrainingRun::SaveCheckpoint(const std::string& directory) {
  const std::string temporary = absl::StrCat(directory, ".tmp");
  FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(temporary));
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(temporary));
  std::map<std::string, std::string> metadata = input_.metadata;
  metadata["format"] = "foldfarm-weights";
  FOLDFARM_RETURN_IF_ERROR(WriteTensors(JoinPath(temporary, kWeightsFile),
                                        NamedWeights(input_.model->module()),
                                        metadata));
  metadata["format"] = kStateFormat;
  metadata["format_version"] = "1";
  metadata["epoch"] = absl::StrCat(epoch_);
  metadata["step"] = absl::StrCat(state_->optimizer->steps());
  metadata["seed"] = absl::StrCat(input_.seed);
  metadata["train_seconds"] = absl::StrFormat("%.6f", train_seconds_);
  FOLDFARM_RETURN_IF_ERROR(WriteTensors(JoinPath(temporary, kStateFile),
                                        state_->optimizer->NamedState(),
                                        metadata));
  return PublishFile(temporary, directory);
}

absl::Status TrainingRun::LoadCheckpoint(const std::string& directory) {
  const std::string weights_path = JoinPath(directory, kWeightsFile);
  const std::string state_path = JoinPath(directory, kStateFile);
  FOLDFARM_ASSIGN_OR_RETURN(const auto weights, TensorFile::Open(weights_path));
  FOLDFARM_ASSIGN_OR_RETURN(const auto moments, TensorFile::Open(state_path));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string format,
                            moments->Metadata("format"));
  const auto number = [&](const char* key) -> absl::StatusOr<double> {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string text, moments->Metadata(key));
    double value = 0;
    if (!absl::SimpleAtod(text, &value) || value < 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          state_path, ": ", key, " is \"", text, "\", expected a number"));
    }
    return value;
  };
  if (format != kStateFormat) {
    return absl::InvalidArgumentError(absl::StrCat(
        state_path, ": format is \"", format, "\", expected ", kStateFormat));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const double seed, number("seed"));
  if (seed != input_.seed) {
    return absl::InvalidArgumentError(absl::StrCat(
        state_path, ": belongs to seed ", seed, ", expected ", input_.seed));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const double epoch, number("epoch"));
  FOLDFARM_ASSIGN_OR_RETURN(const double steps, number("step"));
  FOLDFARM_ASSIGN_OR_RETURN(train_seconds_, number("train_seconds"));
  FOLDFARM_RETURN_IF_ERROR(ReadTensors(*weights, weights_path,
                                       NamedWeights(input_.model->module())));
  FOLDFARM_RETURN_IF_ERROR(
      ReadTensors(*moments, state_path, state_->optimizer->NamedState()));
  epoch_ = static_cast<int>(epoch);
  state_->optimizer->set_steps(static_cast<int64_t>(steps));
  return absl::OkStatus();
}

absl::Status TrainingRun::SaveWeights(const std::string& path) {
  std::map<std::string, std::string> metadata = input_.metadata;
  metadata["format"] = "foldfarm-weights";
  state_->optimizer->UseAverage();
  const absl::Status status =
      WriteTensors(path, NamedWeights(input_.model->module()), metadata);
  state_->optimizer->UseParameters();
  return status;
}

}  // namespace foldfarm
