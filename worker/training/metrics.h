// What predictions are worth. Plain arithmetic in double precision.
#ifndef FOLDFARM_WORKER_TRAINING_METRICS_H_
#define FOLDFARM_WORKER_TRAINING_METRICS_H_

#include "absl/types/span.h"

namespace foldfarm {

// Mean binary cross-entropy over all entries, probabilities clipped to
// [clip, 1 - clip]. REQUIRES: equal, positive sizes.
double LogLossClipped(absl::Span<const float> probabilities,
                      absl::Span<const float> labels, double clip);

// The same of p * (1 - 2 * shrink) + shrink.
double LogLossShrunk(absl::Span<const float> probabilities,
                     absl::Span<const float> labels, double shrink);

// Share of entries on the right side of 0.5, which itself is absent.
double Accuracy(absl::Span<const float> probabilities,
                absl::Span<const float> labels);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_METRICS_H_
