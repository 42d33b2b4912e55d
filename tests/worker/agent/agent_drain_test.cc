// The daemon when the coordinator wants jobs back, near its time limit, and
// what it says about its trainers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/files.h"
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

TEST_F(AgentTest, ATrainerThatDoesNotStopIsKilledBeforeTheLimit) {
  options_.time_limit = absl::Seconds(2);
  options_.drain_timeout = absl::Seconds(60);
  coordinator_.AddLease("ignore_stop");
  const absl::Duration start = Clock::Real().Monotonic();
  Start();
  EXPECT_TRUE(Join().ok());
  // Wide for a slow machine; a drain of a minute leaves a trainer 45 s.
  EXPECT_LT(Clock::Real().Monotonic() - start, absl::Seconds(20));
}

TEST_F(AgentTest, AJobThatIsLateAtTheDrainsDeadlineIsGivenBackByRegistering) {
  options_.drain_timeout = absl::Milliseconds(300);
  const int64_t token = coordinator_.AddLease("wait");
  Start();
  ASSERT_TRUE(WaitForStart(token));
  coordinator_.SetFault([](const std::string& call) {
    return call == "FinishAttempt" ? absl::UnavailableError("overloaded")
                                   : absl::OkStatus();
  });
  EXPECT_TRUE(DrainAndJoin().ok());
  EXPECT_TRUE(Heard(token).finishes.empty());
  absl::MutexLock lock(&coordinator_.mu);
  ASSERT_EQ(coordinator_.registrations.size(), 2u);
  EXPECT_EQ(coordinator_.registrations[1].held_tokens_size(), 0);
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

// Else a batch job that reached nothing would count as done.
TEST_F(AgentTest, ACoordinatorThatNeverAnsweredIsAFailure) {
  coordinator_.GoAway();
  options_.exit_when_idle = absl::Milliseconds(50);
  Start();
  EXPECT_EQ(Join().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Join().message()),
              ::testing::AllOf(::testing::HasSubstr("--exit-when-idle"),
                               ::testing::HasSubstr("connection refused")));
  agent_.reset();
  options_.exit_when_idle = absl::InfiniteDuration();
  options_.time_limit = absl::Milliseconds(100);
  Start();
  EXPECT_EQ(Join().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(Join().message()),
              ::testing::HasSubstr("--time-limit"));
}

TEST_F(AgentTest, DrainedBeforeItIsRegisteredItIsDone) {
  coordinator_.GoAway();
  Start();
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["Register"] > 0; }));
  EXPECT_TRUE(DrainAndJoin().ok());
}

TEST_F(AgentTest, KilledBeforeItIsRegisteredItSaysSo) {
  options_.exit_when_idle = absl::Hours(1);
  coordinator_.GoAway();
  Start();
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["Register"] > 0; }));
  agent_->Kill();
  EXPECT_EQ(Join().code(), absl::StatusCode::kCancelled);
}

// Its folder is reached through a link, which is turned to where no room is.
class FullDiskTest : public AgentTest {
 protected:
  void SetUp() override {
    AgentTest::SetUp();
    options_.dir = JoinPath(dir_, "link");
    ASSERT_TRUE(MakeDirectories(JoinPath(dir_, "real")).ok());
    TurnTo(JoinPath(dir_, "real"));
  }
  void TearDown() override {
    TurnTo(JoinPath(dir_, "real"));
    AgentTest::TearDown();
  }

  void TurnTo(const std::string& folder) {
    const std::string next = JoinPath(dir_, "next");
    ASSERT_EQ(symlink(folder.c_str(), next.c_str()), 0);
    ASSERT_EQ(rename(next.c_str(), options_.dir.c_str()), 0);
  }
};

TEST_F(FullDiskTest, IsNoFaultOfTheWorkerWhileItRunsAUsersProgram) {
  options_.allow_exec = true;
  const int64_t token = coordinator_.AddProgram("mine", "./program.sh");
  // It is held, and starts nothing.
  coordinator_.SetFault([](const std::string& call) {
    return call == "Download" ? absl::UnavailableError("away")
                              : absl::OkStatus();
  });
  Start();
  ASSERT_TRUE(coordinator_.WaitUntil([&] {
    return coordinator_.heartbeats[token] > 0 &&
           coordinator_.calls["Download"] > 0;  // Its folders are made.
  }));
  TurnTo("/proc");
  int beats = 0;
  {
    absl::MutexLock lock(&coordinator_.mu);
    beats = coordinator_.heartbeats[token];
  }
  // The next one may have looked before.
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.heartbeats[token] >= beats + 2; }));
  {
    absl::MutexLock lock(&coordinator_.mu);
    EXPECT_EQ(coordinator_.worker_fault, "");
  }
  Answer(token, v1::HeartbeatResponse::CANCEL);
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_TRUE(coordinator_.WaitUntil([&] {
    return !coordinator_.worker_fault.empty();
  })) << "the disk is still full";
}

TEST_F(FullDiskTest, BesideAUsersProgramAJobIsHandedBackAndNobodyIsBlamed) {
  options_.allow_exec = true;
  options_.slots = 2;
  coordinator_.AddProgram("mine", "./program.sh");
  // The program is held; another finds no room for its files.
  const auto program = std::make_shared<std::optional<std::thread::id>>();
  coordinator_.SetFault([program](const std::string& call) {
    if (call != "Download") return absl::OkStatus();
    if (!program->has_value()) *program = std::this_thread::get_id();
    return *program == std::this_thread::get_id()
               ? absl::UnavailableError("away")
               : absl::ResourceExhaustedError("disk full");
  });
  Start();
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["Download"] > 0; }));
  const int64_t other =
      coordinator_.AddLease("succeed", /*slots=*/1, "another dataset");
  ASSERT_TRUE(WaitForFinish(other));
  EXPECT_EQ(Finish(other).outcome(), v1::Attempt::PREEMPTED);
  EXPECT_NE(Finish(other).failure_kind(), v1::FAILURE_KIND_WORKER);
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
