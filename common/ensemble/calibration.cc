#include "common/ensemble/calibration.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace foldfarm {
namespace {

// The score interval of a share of `count` trials.
// Source: E. B. Wilson, Probable inference, the law of succession, and
// statistical inference, JASA 22 (1927).
void SetWilsonInterval(CalibrationBin& bin) {
  constexpr double kZ = 1.959963984540054;  // 97.5 % of the normal.
  const double n = bin.count;
  const double p = bin.observed;
  const double spread = kZ * kZ / n;
  const double centre = (p + spread / 2) / (1 + spread);
  const double half =
      kZ / (1 + spread) * std::sqrt(p * (1 - p) / n + spread / (4 * n));
  bin.observed_low = std::max(0.0, centre - half);
  bin.observed_high = std::min(1.0, centre + half);
}

}  // namespace

Calibration Calibrate(absl::Span<const double> truth,
                      absl::Span<const double> probabilities, int bins) {
  Calibration result;
  result.bins.resize(static_cast<size_t>(bins));
  for (int i = 0; i < bins; ++i) {
    result.bins[i].low = static_cast<double>(i) / bins;
    result.bins[i].high = static_cast<double>(i + 1) / bins;
  }
  // Sums first, means at the end.
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (std::isnan(probabilities[i]) || std::isnan(truth[i])) continue;
    const int place = std::clamp(
        static_cast<int>(std::floor(probabilities[i] * bins)), 0, bins - 1);
    CalibrationBin& bin = result.bins[place];
    ++bin.count;
    bin.mean_probability += probabilities[i];
    bin.observed += truth[i];
    ++result.count;
    result.mean_probability += probabilities[i];
    result.observed += truth[i];
  }
  if (result.count == 0) {
    result.expected_calibration_error =
        std::numeric_limits<double>::quiet_NaN();
    return result;
  }
  result.mean_probability /= result.count;
  result.observed /= result.count;
  for (CalibrationBin& bin : result.bins) {
    if (bin.count == 0) continue;
    bin.mean_probability /= bin.count;
    bin.observed /= bin.count;
    SetWilsonInterval(bin);
    result.expected_calibration_error +=
        std::abs(bin.observed - bin.mean_probability) * bin.count /
        result.count;
  }
  return result;
}

std::vector<double> ColumnOf(absl::Span<const double> values, size_t columns,
                             size_t column) {
  std::vector<double> out;
  out.reserve(values.size() / columns);
  for (size_t i = column; i < values.size(); i += columns) {
    out.push_back(values[i]);
  }
  return out;
}

}  // namespace foldfarm
