#include "worker/agent/worker_api.h"

#include "absl/random/random.h"
#include "common/base/backoff.h"
#include "common/base/log.h"

namespace foldfarm {
namespace {

// Times that a file arrives, or lies here, otherwise than its digest says.
constexpr int kMostDamaged = 3;
// A disk that fails, or a coordinator that says so of its own.
constexpr absl::Duration kLongestDoubt = absl::Minutes(10);
constexpr absl::Duration kSayAgain = absl::Minutes(1);

}  // namespace

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

bool Patience::TryAgain(const absl::Status& status, absl::Duration delay) {
  if (!absl::IsInternal(status) && !absl::IsUnknown(status) &&
      !absl::IsDataLoss(status)) {
    damaged_ = 0;
    return IsOutage(status);
  }
  if (absl::IsDataLoss(status) && ++damaged_ >= kMostDamaged) return false;
  if (waited_ >= kLongestDoubt) return false;
  if (waited_ == absl::ZeroDuration() || waited_ - said_from_ >= kSayAgain) {
    said_from_ = waited_;
    SPDLOG_WARN("trying again: {}", status.ToString());
  }
  waited_ += delay;
  return true;
}

absl::Status RetryOutages(AttemptControl& control, StopReason give_up,
                          const std::function<absl::Status()>& call) {
  Patience patience;
  for (int failures = 1;; ++failures) {
    absl::Status status = call();
    const absl::Duration delay = OutageDelay(failures);
    if (!patience.TryAgain(status, delay)) return status;
    if (control.WaitAtLeast(give_up, delay)) {
      return absl::CancelledError("the attempt was stopped");
    }
  }
}

}  // namespace foldfarm
