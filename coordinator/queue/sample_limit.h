// A trial run's samples: few, but like all of them.
#ifndef FOLDFARM_COORDINATOR_QUEUE_SAMPLE_LIMIT_H_
#define FOLDFARM_COORDINATOR_QUEUE_SAMPLE_LIMIT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/spectra/prepared_dataset.h"

namespace foldfarm {

// A sample's value in a column of the sample table: instrument_type or split.
// Errors: INVALID_ARGUMENT for another column.
absl::StatusOr<std::string> SampleColumn(const SampleInfo& sample,
                                         const std::string& column);

// Takes part in folds.
inline bool IsLabelledTrain(const SampleInfo& sample) {
  return sample.labelled && sample.split == "train";
}

// Draws `limit` of the labelled train samples and returns `samples` with the
// others as if they had no labels. Every value of `column` keeps its share, and
// at least one sample where `limit` allows.
//
// Which samples of a value are drawn follows from `seed` and their ids alone:
// a larger limit keeps them and adds others. All are kept when there are no
// more than `limit`.
// Errors: INVALID_ARGUMENT for an unknown column.
absl::StatusOr<std::vector<SampleInfo>> LimitSamples(
    absl::Span<const SampleInfo> samples, int limit, const std::string& column,
    uint32_t seed);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_SAMPLE_LIMIT_H_
