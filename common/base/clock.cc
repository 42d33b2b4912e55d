#include "common/base/clock.h"

#include <pthread.h>
#include <signal.h>

#include <chrono>
#include <condition_variable>
#include <ctime>
#include <map>
#include <mutex>
#include <thread>

namespace foldfarm {
namespace {

absl::Duration MonotonicNow() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return absl::DurationFromTimespec(now);
}

// Wakes those whose time is up by the monotonic clock.
//
// Abseil's own timed waits are for a moment of the wall clock: a machine whose
// time is set back by an hour would send its next heartbeat an hour late. So
// waiters wait without a timeout and one thread of the process signals them.
class Alarms {
 public:
  bool Wait(absl::CondVar& condition, absl::Mutex& mu,
            absl::Duration timeout) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (timeout <= absl::ZeroDuration()) return false;
    if (timeout == absl::InfiniteDuration()) {
      condition.Wait(&mu);
      return true;
    }
    const absl::Duration deadline = MonotonicNow() + timeout;
    std::multimap<absl::Duration, absl::CondVar*>::iterator alarm;
    {
      const std::lock_guard<std::mutex> lock(alarms_mu_);
      if (!started_) Start();
      alarm = alarms_.emplace(deadline, &condition);
      if (alarm == alarms_.begin()) changed_.notify_one();
    }
    condition.Wait(&mu);
    {
      // From here on the condition may end: nobody signals it any more.
      const std::lock_guard<std::mutex> lock(alarms_mu_);
      alarms_.erase(alarm);
    }
    return MonotonicNow() < deadline;
  }

 private:
  void Start() {
    started_ = true;
    // Signals are for the threads that expect them.
    sigset_t all, former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    std::thread([this] { Loop(); }).detach();
    pthread_sigmask(SIG_SETMASK, &former, nullptr);
  }

  void Loop() {
    pthread_setname_np(pthread_self(), "clock-alarms");
    std::unique_lock<std::mutex> lock(alarms_mu_);
    while (true) {
      const absl::Duration now = MonotonicNow();
      auto next = alarms_.begin();
      // A waiter's mutex is not ours to take, so that it may be still on its
      // way into Wait() and miss the signal: it gets another until it is gone.
      for (; next != alarms_.end() && next->first <= now; ++next) {
        next->second->SignalAll();
      }
      if (alarms_.empty()) {
        changed_.wait(lock);
        continue;
      }
      absl::Duration wait =
          next == alarms_.begin() ? next->first - now : kRepeat;
      changed_.wait_for(lock, absl::ToChronoNanoseconds(wait));
    }
  }

  static constexpr absl::Duration kRepeat = absl::Milliseconds(1);

  std::mutex alarms_mu_;
  std::condition_variable changed_;
  // By the monotonic moment at which they are due.
  std::multimap<absl::Duration, absl::CondVar*> alarms_;
  bool started_ = false;
};

class RealClock : public Clock {
 public:
  absl::Time Now() override { return absl::Now(); }

  absl::Duration Monotonic() override { return MonotonicNow(); }

  bool WaitFor(absl::CondVar& condition, absl::Mutex& mu,
               absl::Duration timeout) override {
    return alarms_.Wait(condition, mu, timeout);
  }

 private:
  Alarms alarms_;
};

}  // namespace

Clock& Clock::Real() {
  // Lives as long as the process: others may wait while it ends.
  static RealClock& clock = *new RealClock;
  return clock;
}

}  // namespace foldfarm
