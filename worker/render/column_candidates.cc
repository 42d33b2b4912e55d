#include "worker/render/column_candidates.h"

#include <cmath>

namespace foldfarm {

ColumnCandidates FindColumnCandidates(absl::Span<const int64_t> scan_offset,
                                      absl::Span<const double> temperature,
                                      const RenderOptions& options,
                                      int64_t missing) {
  ColumnCandidates table;
  const int64_t num_samples = static_cast<int64_t>(scan_offset.size()) - 1;
  table.nearest.reserve(num_samples * kNumColumns);
  std::vector<double> weights;
  for (int64_t sample = 0; sample < num_samples; ++sample) {
    // The first and the last scan of a sample are never shown.
    const int64_t begin = scan_offset[sample] + 1;
    const int64_t end = scan_offset[sample + 1] - 1;
    for (int column = 0; column < kNumColumns; ++column) {
      const double t = kFirstColumnCelsius + options.temp_step * column;
      const double row = static_cast<double>(table.nearest.size());
      double total = 0;
      double nearest_distance = 0;
      int64_t nearest = missing;
      weights.clear();
      for (int64_t scan = begin; scan < end; ++scan) {
        const double whole = std::floor(temperature[scan]);
        if (whole < t - options.temp_query_range ||
            whole > t + options.temp_query_range) {
          continue;
        }
        const double distance = std::abs(t - temperature[scan]);
        if (nearest == missing || distance < nearest_distance) {
          nearest = scan;
          nearest_distance = distance;
        }
        weights.push_back(1 / (options.prob_smooth + distance));
        total += weights.back();
        table.scan.push_back(scan);
      }
      if (weights.empty()) {
        weights.push_back(1);
        total = 1;
        table.scan.push_back(missing);
      }
      double sum = 0;
      for (const double weight : weights) {
        sum += weight;
        table.cumulative.push_back(row + sum / total);
      }
      // Rounding must not leave a gap at the row's end.
      table.cumulative.back() = row + 1;
      table.nearest.push_back(nearest);
    }
  }
  return table;
}

}  // namespace foldfarm
