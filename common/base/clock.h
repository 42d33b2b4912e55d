// Time as a dependency: whoever needs it takes a Clock, so that tests set it.
//
// The clock is read here and nowhere else. Thread-safe.
#ifndef FOLDFARM_COMMON_BASE_CLOCK_H_
#define FOLDFARM_COMMON_BASE_CLOCK_H_

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace foldfarm {

class Clock {
 public:
  virtual ~Clock() = default;

  // Wall-clock time: for people and for lease ends that outlive a process.
  virtual absl::Time Now() = 0;

  // Seconds that only grow, since an arbitrary start: for measuring.
  virtual absl::Duration Monotonic() = 0;

  // Waits on `condition` for at most `timeout` of this clock's time. Returns
  // true when it was signalled, false when the time was up. Spurious wake-ups
  // return true. Monotonic time: setting the machine's clock changes nothing.
  // REQUIRES: `mu` is held.
  virtual bool WaitFor(absl::CondVar& condition, absl::Mutex& mu,
                       absl::Duration timeout) = 0;

  // The machine's clock.
  static Clock& Real();
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_CLOCK_H_
