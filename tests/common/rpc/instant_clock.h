// A clock on which every wait is over at once.
#ifndef FOLDFARM_TESTS_COMMON_RPC_INSTANT_CLOCK_H_
#define FOLDFARM_TESTS_COMMON_RPC_INSTANT_CLOCK_H_

#include "common/base/clock.h"

namespace foldfarm {

// Waiting advances it by the time waited for. Not thread-safe.
class InstantClock : public Clock {
 public:
  absl::Time Now() override { return absl::UnixEpoch() + elapsed_; }
  absl::Duration Monotonic() override { return elapsed_; }
  bool WaitFor(absl::CondVar&, absl::Mutex&, absl::Duration timeout) override {
    elapsed_ += timeout;
    return false;
  }
  void Advance(absl::Duration by) { elapsed_ += by; }

 private:
  absl::Duration elapsed_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COMMON_RPC_INSTANT_CLOCK_H_
