// A clock that stands still until a test moves it.
#ifndef FOLDFARM_TESTS_TESTING_FAKE_CLOCK_H_
#define FOLDFARM_TESTS_TESTING_FAKE_CLOCK_H_

#include <list>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"

namespace foldfarm {

// Thread-safe. Whoever waits on it must not be destroyed during Advance().
class FakeClock : public Clock {
 public:
  absl::Time Now() override {
    return absl::FromUnixSeconds(1'700'000'000) + Monotonic();
  }

  absl::Duration Monotonic() override {
    absl::MutexLock lock(&mu_);
    return elapsed_;
  }

  bool WaitFor(absl::CondVar& condition, absl::Mutex& mu,
               absl::Duration timeout) override {
    std::list<Waiter>::iterator waiter;
    absl::Duration deadline;
    {
      absl::MutexLock lock(&mu_);
      deadline = elapsed_ + timeout;
      if (timeout <= absl::ZeroDuration()) return false;
      waiter = waiters_.insert(waiters_.end(), {&condition, &mu});
    }
    condition.Wait(&mu);
    absl::MutexLock lock(&mu_);
    waiters_.erase(waiter);
    return elapsed_ < deadline;
  }

  // Moves time on and wakes whoever waits, so that they look at it again.
  void Advance(absl::Duration by) {
    std::vector<Waiter> waiters;
    {
      absl::MutexLock lock(&mu_);
      elapsed_ += by;
      waiters.assign(waiters_.begin(), waiters_.end());
    }
    for (const auto& [condition, mu] : waiters) {
      // With its mutex held the waiter is in Wait(), not on the way there.
      absl::MutexLock lock(mu);
      condition->SignalAll();
    }
  }

 private:
  using Waiter = std::pair<absl::CondVar*, absl::Mutex*>;
  absl::Mutex mu_;
  absl::Duration elapsed_ ABSL_GUARDED_BY(mu_);
  std::list<Waiter> waiters_ ABSL_GUARDED_BY(mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_FAKE_CLOCK_H_
