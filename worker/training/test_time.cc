#include "worker/training/test_time.h"

#include <torch/torch.h>

#include <algorithm>
#include <vector>

#include "common/base/status_macros.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

// Images at a time.
constexpr int64_t kBatch = 64;

}  // namespace

absl::StatusOr<Predictions> PredictDraws(const DrawnSamples& samples,
                                         ImagePredictor predict,
                                         const StopRequested& stop) {
  Predictions result;
  result.num_samples = samples.count;
  result.num_labels = samples.num_labels;
  result.num_draws = samples.tta;
  std::vector<SampleDraw> draws;
  for (int draw = 0; draw < samples.tta; ++draw) {
    for (int64_t i = 0; i < samples.count; ++i) {
      draws.push_back(
          {.position = samples.first + i,
           .seed = DeriveStreamSeed(samples.seed, kPredictStream, draw)});
    }
  }
  for (size_t begin = 0; begin < draws.size(); begin += kBatch) {
    if (stop()) return absl::CancelledError("stopped while predicting");
    const auto part = absl::MakeConstSpan(draws).subspan(begin, kBatch);
    FOLDFARM_ASSIGN_OR_RETURN(const at::Tensor drawn,
                              predict(samples.renderer->DrawToPredict(part)));
    const at::Tensor values = drawn.to(at::kFloat).cpu().contiguous();
    const float* data = values.data_ptr<float>();
    result.draws.insert(result.draws.end(), data, data + values.numel());
  }
  const auto size = static_cast<size_t>(samples.count * samples.num_labels);
  for (size_t i = 0; i < size; ++i) {
    double sum = 0;
    for (int draw = 0; draw < samples.tta; ++draw) {
      sum += result.draws[draw * size + i];
    }
    result.probabilities.push_back(static_cast<float>(sum / samples.tta));
  }
  return result;
}

}  // namespace foldfarm
