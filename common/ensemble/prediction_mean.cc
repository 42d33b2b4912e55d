#include "common/ensemble/prediction_mean.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace foldfarm {

std::vector<double> MeanOfFirstDraws(absl::Span<const float> draws,
                                     size_t cells, size_t count) {
  const size_t taken = std::min(count, draws.size() / cells);
  std::vector<double> mean(cells, 0.0);
  for (size_t draw = 0; draw < taken; ++draw) {
    const absl::Span<const float> values = draws.subspan(draw * cells, cells);
    for (size_t i = 0; i < cells; ++i) mean[i] += values[i];
  }
  for (double& value : mean) value /= static_cast<double>(taken);
  return mean;
}

std::vector<double> WeightedMeanOfModels(
    absl::Span<const std::vector<double>> models,
    absl::Span<const double> weights) {
  const size_t cells = models.front().size();
  std::vector<double> sum(cells, 0.0);
  std::vector<double> total(cells, 0.0);
  for (size_t m = 0; m < models.size(); ++m) {
    if (weights[m] == 0) continue;
    for (size_t i = 0; i < cells; ++i) {
      if (std::isnan(models[m][i])) continue;
      sum[i] += weights[m] * models[m][i];
      total[i] += weights[m];
    }
  }
  for (size_t i = 0; i < cells; ++i) {
    sum[i] = total[i] > 0 ? sum[i] / total[i]
                          : std::numeric_limits<double>::quiet_NaN();
  }
  return sum;
}

}  // namespace foldfarm
