// Which scans each temperature column of an image may show, and how likely.
//
// Column k of a sample stands at t = 30 + temp_step * k. Its candidates are the
// scans whose floor(temperature) lies in [t - query, t + query], the sample's
// first and last scan excepted; a scan is drawn with weight
// 1 / (prob_smooth + |t - temperature|). (The recipe, section 3.)
//
// The tables of all samples lie end to end, so that one binary search draws
// the scans of a whole batch: row r = sample * kNumColumns + column owns a run
// of entries whose `cumulative` climbs from r to r + 1, and the entry that the
// number r + u falls into, u uniform in [0, 1), is the scan drawn.
#ifndef FOLDFARM_WORKER_RENDER_COLUMN_CANDIDATES_H_
#define FOLDFARM_WORKER_RENDER_COLUMN_CANDIDATES_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "worker/render/render_options.h"

namespace foldfarm {

struct ColumnCandidates {
  // Per entry: r + the row's cumulative probability up to and including this
  // candidate. Strictly increasing but for candidates of weight ~0.
  std::vector<double> cumulative;
  // Per entry: index into `temperature`, or `missing` for a row without
  // candidates (which has one such entry).
  std::vector<int64_t> scan;
  // Per row: the candidate nearest to the column (ties: the earlier scan), or
  // `missing`.
  std::vector<int64_t> nearest;
};

// Builds the tables of samples whose scans are [scan_offset[i],
// scan_offset[i + 1]) of `temperature` (degrees C).
ColumnCandidates FindColumnCandidates(absl::Span<const int64_t> scan_offset,
                                      absl::Span<const double> temperature,
                                      const RenderOptions& options,
                                      int64_t missing);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_RENDER_COLUMN_CANDIDATES_H_
