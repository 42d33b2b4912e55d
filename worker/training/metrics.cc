#include "worker/training/metrics.h"

#include <algorithm>
#include <cmath>

namespace foldfarm {
namespace {

template <typename Adjust>
double LogLoss(absl::Span<const float> probabilities,
               absl::Span<const float> labels, Adjust adjust) {
  double sum = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    const double p = adjust(static_cast<double>(probabilities[i]));
    sum -= labels[i] * std::log(p) + (1 - labels[i]) * std::log1p(-p);
  }
  return sum / static_cast<double>(probabilities.size());
}

}  // namespace

double LogLossClipped(absl::Span<const float> probabilities,
                      absl::Span<const float> labels, double clip) {
  return LogLoss(probabilities, labels,
                 [clip](double p) { return std::clamp(p, clip, 1 - clip); });
}

double LogLossShrunk(absl::Span<const float> probabilities,
                     absl::Span<const float> labels, double shrink) {
  return LogLoss(probabilities, labels,
                 [shrink](double p) { return p * (1 - 2 * shrink) + shrink; });
}

double Accuracy(absl::Span<const float> probabilities,
                absl::Span<const float> labels) {
  int64_t right = 0;
  for (size_t i = 0; i < probabilities.size(); ++i) {
    right += (probabilities[i] > 0.5f) == (labels[i] > 0.5f);
  }
  return static_cast<double>(right) / static_cast<double>(probabilities.size());
}

}  // namespace foldfarm
