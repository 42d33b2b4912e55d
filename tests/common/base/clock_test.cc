// The machine's clock. That setting its time disturbs nobody is tested with
// whole programs (tests/farm/strain_test.cc).
#include "common/base/clock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace foldfarm {
namespace {

TEST(ClockTest, AWaitEndsWhenItsTimeIsUpAndNotBefore) {
  Clock& clock = Clock::Real();
  absl::Mutex mu;
  absl::CondVar never;
  for (const absl::Duration time :
       {absl::ZeroDuration(), -absl::Seconds(1), absl::Microseconds(1),
        absl::Milliseconds(30)}) {
    const absl::Duration end = clock.Monotonic() + time;
    absl::MutexLock lock(&mu);
    while (clock.Monotonic() < end) {
      clock.WaitFor(never, mu, end - clock.Monotonic());
    }
    EXPECT_FALSE(clock.WaitFor(never, mu, absl::ZeroDuration()));
  }
}

TEST(ClockTest, ASignalEndsAWaitEarly) {
  Clock& clock = Clock::Real();
  for (const absl::Duration time : {absl::Hours(1), absl::InfiniteDuration()}) {
    absl::Mutex mu;
    absl::CondVar changed;
    bool done = false;
    std::thread other([&] {
      absl::MutexLock lock(&mu);
      done = true;
      changed.Signal();
    });
    {
      absl::MutexLock lock(&mu);
      while (!done) EXPECT_TRUE(clock.WaitFor(changed, mu, time));
    }
    other.join();
  }
}

TEST(ClockTest, ConditionsMayEndRightAfterTheirWait) {
  Clock& clock = Clock::Real();
  std::vector<std::thread> threads;
  std::atomic<int> waits = 0;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&clock, &waits, i] {
      for (int j = 0; j < 200; ++j) {
        const auto mu = std::make_unique<absl::Mutex>();
        const auto never = std::make_unique<absl::CondVar>();
        const absl::Duration end =
            clock.Monotonic() + absl::Microseconds(10 * (i + j));
        absl::MutexLock lock(mu.get());
        while (clock.Monotonic() < end) {
          clock.WaitFor(*never, *mu, end - clock.Monotonic());
        }
        ++waits;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(waits, 8 * 200);
}

}  // namespace
}  // namespace foldfarm
