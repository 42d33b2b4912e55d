#include "worker/agent/worker_api.h"

#include "absl/random/random.h"
#include "common/base/backoff.h"

namespace foldfarm {

bool IsOutage(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnauthenticated:
      return true;
    default:
      return false;
  }
}

absl::Duration OutageDelay(int failures) {
  // Jitter is no part of a result, hence not from a recorded seed.
  thread_local absl::BitGen random;
  static const BackoffPolicy policy{
      .initial = absl::Milliseconds(500),
      .max = absl::Seconds(5),
      .multiplier = 1.6,
      .jitter = 0.3,
  };
  return BackoffDelay(policy, failures, absl::Uniform(random, 0.0, 1.0));
}

absl::Status RetryOutages(AttemptControl& control, StopReason give_up,
                          const std::function<absl::Status()>& call) {
  for (int failures = 1;; ++failures) {
    absl::Status status = call();
    if (!IsOutage(status)) return status;
    if (control.WaitAtLeast(give_up, OutageDelay(failures))) {
      return absl::CancelledError("the attempt was stopped");
    }
  }
}

}  // namespace foldfarm
