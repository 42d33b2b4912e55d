// Exponential backoff with jitter.
#ifndef FOLDFARM_COMMON_BASE_BACKOFF_H_
#define FOLDFARM_COMMON_BASE_BACKOFF_H_

#include <cstdint>

#include "absl/time/time.h"

namespace foldfarm {

struct BackoffPolicy {
  absl::Duration initial = absl::Seconds(5);
  absl::Duration max = absl::Minutes(5);
  double multiplier = 2.0;
  // The delay is multiplied by a factor from [1 - jitter, 1 + jitter].
  double jitter = 0.1;
};

// Delay before try number `failures` + 1. `random` is uniform in [0, 1).
// REQUIRES: failures >= 1.
absl::Duration BackoffDelay(const BackoffPolicy& policy, int failures,
                            double random);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_BACKOFF_H_
