#include "worker/training/held_out.h"

#include <torch/torch.h>

#include "common/base/status_macros.h"
#include "worker/training/metrics.h"
#include "worker/training/probabilities.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

// Samples scored at a time.
constexpr int64_t kScoreBatch = 64;

}  // namespace

absl::Status HeldOut::Score(int epoch, const StopRequested& stop,
                            Metrics& metrics) const {
  renderer->Seed(DeriveStreamSeed(seed, kScoreStream, epoch));
  const at::Tensor positions =
      at::arange(first, first + count,
                 at::TensorOptions(at::Device(device)).dtype(at::kLong));
  std::vector<at::Tensor> parts;
  for (const at::Tensor& part : positions.split(kScoreBatch)) {
    if (stop()) return absl::CancelledError("stopped while scoring");
    at::Tensor images, unused_labels;
    renderer->Draw(part, DrawMode::kValidate, images, unused_labels);
    parts.push_back(Probabilities(*model, images, bf16));
  }
  const at::Tensor all = at::cat(parts).cpu().contiguous();
  const float* values = all.data_ptr<float>();
  const std::vector<float> drawn(values, values + all.numel());
  metrics["log_loss"] = LogLossClipped(drawn, labels, 1e-3);
  metrics["log_loss_clip_1e_2"] = LogLossClipped(drawn, labels, 1e-2);
  metrics["accuracy"] = Accuracy(drawn, labels);
  return absl::OkStatus();
}

absl::StatusOr<Predictions> HeldOut::Predict(int tta,
                                             const StopRequested& stop) const {
  return PredictDraws(
      {.renderer = renderer,
       .first = first,
       .count = count,
       .num_labels = num_labels,
       .tta = tta,
       .seed = seed},
      [this](const at::Tensor& images) -> absl::StatusOr<at::Tensor> {
        return Probabilities(*model, images, bf16);
      },
      stop);
}

}  // namespace foldfarm
