#include "worker/training/held_out.h"

#include <torch/torch.h>

#include "common/base/status_macros.h"
#include "worker/training/autocast.h"
#include "worker/training/metrics.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

// Samples drawn at a time.
constexpr int64_t kPredictBatch = 64;

}  // namespace

// One draw of every sample, probabilities row-major.
absl::StatusOr<std::vector<float>> HeldOut::Draw(
    DrawMode mode, uint64_t draw_seed, const StopRequested& stop) const {
  const at::NoGradGuard no_grad;
  const at::Device where(device);
  renderer->Seed(draw_seed);
  model->module().eval();
  const at::Tensor positions = at::arange(
      first, first + count, at::TensorOptions(where).dtype(at::kLong));
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : positions.split(kPredictBatch)) {
    if (stop()) return absl::CancelledError("stopped while predicting");
    at::Tensor images, unused_labels;
    renderer->Draw(part, mode, images, unused_labels);
    const AutocastScope autocast(bf16, where.is_cuda());
    parts.push_back(model->Forward(images).to(at::kFloat).sigmoid_());
  }
  const at::Tensor all = at::cat(parts).cpu().contiguous();
  const float* values = all.data_ptr<float>();
  return std::vector<float>(values, values + all.numel());
}

absl::Status HeldOut::Score(int epoch, const StopRequested& stop,
                            Metrics& metrics) const {
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::vector<float> drawn,
      Draw(DrawMode::kValidate, DeriveStreamSeed(seed, kScoreStream, epoch),
           stop));
  metrics["log_loss"] = LogLossClipped(drawn, labels, 1e-3);
  metrics["log_loss_clip_1e_2"] = LogLossClipped(drawn, labels, 1e-2);
  metrics["accuracy"] = Accuracy(drawn, labels);
  return absl::OkStatus();
}

absl::StatusOr<Predictions> HeldOut::Predict(int tta,
                                             const StopRequested& stop) const {
  Predictions result;
  result.num_samples = count;
  result.num_labels = num_labels;
  result.num_draws = tta;
  const size_t size = labels.size();
  if (size == 0) return result;
  std::vector<double> sum(size, 0.0);
  for (int draw = 0; draw < tta; ++draw) {
    FOLDFARM_ASSIGN_OR_RETURN(
        const std::vector<float> drawn,
        Draw(DrawMode::kPredict, DeriveStreamSeed(seed, kPredictStream, draw),
             stop));
    for (size_t i = 0; i < size; ++i) sum[i] += drawn[i];
    result.draws.insert(result.draws.end(), drawn.begin(), drawn.end());
  }
  for (const double total : sum) {
    result.probabilities.push_back(static_cast<float>(total / tta));
  }
  return result;
}

}  // namespace foldfarm
