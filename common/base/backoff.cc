#include "common/base/backoff.h"

#include <algorithm>
#include <cmath>

namespace foldfarm {

absl::Duration BackoffDelay(const BackoffPolicy& policy, int failures,
                            double random) {
  // 2^60 seconds is past any cap; larger powers would overflow.
  const double power =
      std::pow(policy.multiplier, std::clamp(failures - 1, 0, 60));
  const absl::Duration delay = std::min(policy.initial * power, policy.max);
  return delay * (1.0 + policy.jitter * (2.0 * random - 1.0));
}

}  // namespace foldfarm
