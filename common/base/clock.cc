#include "common/base/clock.h"

#include <ctime>

namespace foldfarm {
namespace {

class RealClock : public Clock {
 public:
  absl::Time Now() override { return absl::Now(); }

  absl::Duration Monotonic() override {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return absl::DurationFromTimespec(now);
  }

  bool WaitFor(absl::CondVar& condition, absl::Mutex& mu,
               absl::Duration timeout) override {
    return !condition.WaitWithTimeout(&mu, timeout);
  }
};

}  // namespace

Clock& Clock::Real() {
  static RealClock& clock = *new RealClock;
  return clock;
}

}  // namespace foldfarm
