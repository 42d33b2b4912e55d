// Repeats a call until it succeeds, fails for good, or nobody wants it any
// more.
//
// Only UNAVAILABLE says "repeat this very call", and DEADLINE_EXCEEDED too
// where the call is idempotent; every other code is an answer and is handed
// back.
#ifndef FOLDFARM_COMMON_RPC_RETRY_H_
#define FOLDFARM_COMMON_RPC_RETRY_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/backoff.h"
#include "common/base/clock.h"

namespace foldfarm {

struct RetryPolicy {
  BackoffPolicy backoff{.initial = absl::Milliseconds(200),
                        .max = absl::Seconds(10),
                        .multiplier = 2.0,
                        .jitter = 0.2};
  // No try starts after so long; infinite: only the predicate ends it.
  absl::Duration give_up_after = absl::InfiniteDuration();
  // The call may be repeated although an earlier try may have been carried out.
  bool idempotent = true;
  // Seeds the jitter, so that the workers of a farm do not come back in step
  // after its coordinator restarts. 0: this process's id.
  uint32_t jitter_seed = 0;
};

// UNAVAILABLE; with `idempotent` also DEADLINE_EXCEEDED.
bool IsRetryable(const absl::Status& status, bool idempotent);

// Waits out `duration` of `clock`, looking at `cancelled` ten times a second.
// Returns false when cancelled.
bool WaitUnlessCancelled(Clock& clock, absl::Duration duration,
                         absl::FunctionRef<bool()> cancelled);

// Calls `call` until it returns something not retryable, and returns that.
//
// Errors: those of `call`; the last of them, with the number of tries, once
// `give_up_after` has passed; CANCELLED when `cancelled` returns true, which is
// asked before every try and during every wait.
absl::Status CallWithRetry(
    const RetryPolicy& policy, Clock& clock,
    absl::FunctionRef<absl::Status()> call,
    absl::FunctionRef<bool()> cancelled = [] { return false; });

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_RETRY_H_
