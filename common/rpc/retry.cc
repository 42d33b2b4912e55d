#include "common/rpc/retry.h"

#include <unistd.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status_macros.h"

namespace foldfarm {

bool IsRetryable(const absl::Status& status, bool idempotent) {
  return absl::IsUnavailable(status) ||
         (idempotent && absl::IsDeadlineExceeded(status));
}

bool WaitUnlessCancelled(Clock& clock, absl::Duration duration,
                         absl::FunctionRef<bool()> cancelled) {
  constexpr absl::Duration kSlice = absl::Milliseconds(100);
  absl::Mutex mu;
  absl::CondVar never;
  const absl::Duration end = clock.Monotonic() + duration;
  while (!cancelled()) {
    const absl::Duration left = end - clock.Monotonic();
    if (left <= absl::ZeroDuration()) return true;
    absl::MutexLock lock(&mu);
    clock.WaitFor(never, mu, std::min(left, kSlice));
  }
  return false;
}

absl::Status CallWithRetry(const RetryPolicy& policy, Clock& clock,
                           absl::FunctionRef<absl::Status()> call,
                           absl::FunctionRef<bool()> cancelled) {
  std::minstd_rand random(policy.jitter_seed != 0
                              ? policy.jitter_seed
                              : static_cast<uint32_t>(getpid()));
  std::uniform_real_distribution<double> uniform;
  const absl::Duration start = clock.Monotonic();
  absl::Status status = absl::OkStatus();
  const auto stopped = [&status] {
    return absl::CancelledError(
        status.ok()
            ? "stopped before the first try"
            : absl::StrCat("stopped while repeating: ", status.message()));
  };
  if (cancelled()) return stopped();
  for (int tries = 1;; ++tries) {
    status = call();
    if (!IsRetryable(status, policy.idempotent)) return status;
    const absl::Duration delay =
        BackoffDelay(policy.backoff, tries, uniform(random));
    const absl::Duration spent = clock.Monotonic() - start;
    if (spent + delay > policy.give_up_after) {
      return WithMessage(
          status, absl::StrCat(status.message(), " (", tries, " tries in ",
                               absl::FormatDuration(
                                   absl::Trunc(spent, absl::Milliseconds(1))),
                               ")"));
    }
    if (!WaitUnlessCancelled(clock, delay, cancelled)) return stopped();
  }
}

}  // namespace foldfarm
