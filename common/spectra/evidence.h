// Where the evidence for a label lies: the peaks of a map over m/z and
// temperature.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COMMON_SPECTRA_EVIDENCE_H_
#define FOLDFARM_COMMON_SPECTRA_EVIDENCE_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace foldfarm {

struct EvidencePeak {
  int mz = 0;
  int column = 0;                         // Of the largest value.
  int first_column = 0, last_column = 0;  // At least half as large.
  double log_odds = 0;                    // The largest value.
  double share = 0;                       // Of all positive evidence, 0 to 1.
};

// The peaks of `map`, [rows, columns], row-major, by falling height: runs of
// positive cells of one m/z, cut where the value falls below a fifth of the
// peak's. Those below 2 % of the highest are left out. A peak's share is its
// cells' sum over that of all positive cells. At most `most`.
std::vector<EvidencePeak> FindEvidence(absl::Span<const float> map,
                                       size_t columns, size_t most);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_EVIDENCE_H_
