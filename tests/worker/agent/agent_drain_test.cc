// The daemon when the coordinator wants jobs back, near its time limit, and
// what it says about its trainers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/agent/agent_fixture.h"

namespace foldfarm {
namespace {

// A daemon that a person drains while it trains.
class DrainedAgentTest : public AgentTest {
 protected:
  // `told`: the call through which it hears of it at once, and it sends no
  // heartbeat of its own; empty: with its next one.
  void DrainWhileItTrains(const std::string& told = "") {
    {
      absl::MutexLock lock(&coordinator_.mu);
      coordinator_.tells = !told.empty();
    }
    token_ = coordinator_.AddLease("wait");
    Start();
    ASSERT_TRUE(WaitForStart(token_));
    // It asks for leases for the slots that are free.
    if (options_.slots > 1) {
      ASSERT_TRUE(coordinator_.WaitUntil(
          [&] { return coordinator_.calls["AcquireLeases"] == 2; }));
    }
    {
      absl::MutexLock lock(&coordinator_.mu);
      coordinator_.drained = true;
      coordinator_.actions[token_] = v1::HeartbeatResponse::PREEMPT;
      coordinator_.news = told;
    }
    ASSERT_TRUE(WaitForFinish(token_));
  }

  void Undrain(const std::string& told) {
    absl::MutexLock lock(&coordinator_.mu);
    coordinator_.drained = false;
    coordinator_.news = told;
  }

  int64_t token_ = 0;
};

TEST_F(AgentTest, AJobThatIsWantedBackLeavesACheckpointAndIsPreempted) {
  const int64_t token = coordinator_.AddLease("wait");
  Start();
  ASSERT_TRUE(WaitForStart(token));
  Answer(token, v1::HeartbeatResponse::PREEMPT);
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::PREEMPTED);
  EXPECT_EQ(Heard(token).checkpoint_epoch, 1);
}

TEST_F(DrainedAgentTest, AsksForNothingAndThenGoesOn) {
  ASSERT_NO_FATAL_FAILURE(DrainWhileItTrains());
  EXPECT_EQ(Finish(token_).next_leases(), 0);
  int asked = 0;
  int beats = 0;
  {
    absl::MutexLock lock(&coordinator_.mu);
    asked = coordinator_.calls["AcquireLeases"];
    beats = coordinator_.calls["Heartbeat"];
  }
  const int64_t next = coordinator_.AddLease("succeed");
  EXPECT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["Heartbeat"] >= beats + 10; }));
  {
    absl::MutexLock lock(&coordinator_.mu);
    EXPECT_EQ(coordinator_.calls["AcquireLeases"], asked);
    coordinator_.drained = false;
  }
  ASSERT_TRUE(WaitForFinish(next));
  EXPECT_EQ(Finish(next).outcome(), v1::Attempt::SUCCEEDED);
}

TEST_F(DrainedAgentTest, HearsOfTheEndBeforeItsNextHeartbeat) {
  ASSERT_NO_FATAL_FAILURE(DrainWhileItTrains("AwaitNews"));
  // It waits to be told again and again, not only while it runs something.
  for (int idle = 0; idle < 3;) {
    ASSERT_TRUE(
        coordinator_.WaitUntil([&] { return coordinator_.news.empty(); }));
    absl::MutexLock lock(&coordinator_.mu);
    idle = coordinator_.calls["idle Heartbeat"];
    coordinator_.news = "AwaitNews";
  }
  const int64_t next = coordinator_.AddLease("succeed");
  Undrain("AwaitNews");
  ASSERT_TRUE(WaitForFinish(next));
}

// With a slot free it waits for leases too, and may be told through that.
TEST_F(DrainedAgentTest, HearsOfTheEndThroughACallForLeases) {
  options_.slots = 2;
  options_.acquire_wait = absl::Hours(1);
  ASSERT_NO_FATAL_FAILURE(DrainWhileItTrains("AwaitNews"));
  {
    absl::MutexLock lock(&coordinator_.mu);
    EXPECT_EQ(coordinator_.calls["AcquireLeases"], 2) << "it waits still";
  }
  Undrain("AcquireLeases");
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["AcquireLeases"] == 3; }));
}

TEST_F(AgentTest, HandsJobsBackInTimeBeforeItsLimit) {
  options_.time_limit = absl::Seconds(10);
  options_.drain_timeout = absl::Seconds(60);
  const int64_t token = coordinator_.AddLease("wait");
  Start();
  EXPECT_TRUE(Join().ok());
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::PREEMPTED);
  EXPECT_EQ(Heard(token).checkpoint_epoch, 1);
  absl::MutexLock lock(&coordinator_.mu);
  EXPECT_GT(coordinator_.registrations[0].seconds_left(), 0);
  EXPECT_LE(coordinator_.registrations[0].seconds_left(), 5)
      << "half of it is for handing back";
}

TEST_F(AgentTest, WithoutALimitItSaysNone) {
  Start();
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return !coordinator_.registrations.empty(); }));
  absl::MutexLock lock(&coordinator_.mu);
  EXPECT_EQ(coordinator_.registrations[0].seconds_left(), 0);
}

TEST_F(AgentTest, SaysWhatItsTrainersUse) {
  const int64_t token = coordinator_.AddLease("wait");
  Start();
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.usage[token].memory_bytes() > 0; }));
  EXPECT_TRUE(DrainAndJoin().ok());
  const v1::AttemptUsage usage = Finish(token).usage();
  EXPECT_GT(usage.peak_memory_bytes(), 1 << 20);
  EXPECT_LT(usage.peak_memory_bytes(), int64_t{1} << 30);
  EXPECT_GT(usage.cpu_seconds(), 0);
}

TEST_F(AgentTest, AnExitWhenIdleDoesNotWaitForTheEndOfADrain) {
  options_.exit_when_idle = absl::Milliseconds(100);
  {
    absl::MutexLock lock(&coordinator_.mu);
    coordinator_.drained = true;
  }
  Start();
  EXPECT_TRUE(Join().ok());
}

}  // namespace
}  // namespace foldfarm
