#include "coordinator/web/connection_threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

namespace foldfarm {
namespace {

constexpr int kMany = 1000;

class ConnectionThreadsTest : public ::testing::Test {
 protected:
  // One connection that lasts until `over_`, and many behind it.
  void Enqueue() {
    threads_.enqueue([this] { over_.WaitForNotification(); });
    for (int i = 0; i < kMany; ++i) {
      threads_.enqueue([this] { ++served_; });
      ++taken_;
    }
  }

  std::atomic<bool> stopping_ = false;
  absl::Notification over_;
  std::atomic<int> taken_ = 0;
  std::atomic<int> served_ = 0;
  ConnectionThreads threads_{1, stopping_};
};

TEST_F(ConnectionThreadsTest, ManyThatWaitHoldTheirGiverUpUntilThereIsRoom) {
  absl::Notification given;
  std::jthread giver([&] {
    Enqueue();
    given.Notify();
  });
  EXPECT_FALSE(given.WaitForNotificationWithTimeout(absl::Milliseconds(300)));
  EXPECT_GT(taken_, 0);
  EXPECT_LT(taken_, kMany);
  EXPECT_EQ(served_, 0);
  over_.Notify();
  giver.join();
  threads_.shutdown();
  EXPECT_EQ(served_, kMany);
}

TEST_F(ConnectionThreadsTest, AStopIsWaitedForByNobody) {
  std::jthread giver([this] { Enqueue(); });
  stopping_ = true;
  giver.join();
  EXPECT_EQ(taken_, kMany);
  EXPECT_EQ(served_, 0);
  over_.Notify();
  threads_.shutdown();
  EXPECT_EQ(served_, kMany);
}

}  // namespace
}  // namespace foldfarm
