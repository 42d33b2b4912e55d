// A coordinator that is away, forgets, refuses, or whose replies are lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/worker/agent/agent_fixture.h"
#include "worker/agent/agent.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(AgentTest, TrainsOnWhileTheCoordinatorIsAwayAndDeliversLater) {
  const int64_t token = coordinator_.AddLease("wait");
  const int64_t other = coordinator_.AddLease("succeed");
  options_.slots = 2;
  // Everything but leasing fails: both attempts end with nobody to tell.
  coordinator_.SetFault([](const std::string& call) {
    return call == "ReportProgress" || call == "FinishAttempt" ||
                   call == "Heartbeat"
               ? absl::UnavailableError("restarting")
               : absl::OkStatus();
  });
  Start();
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["ReportProgress"] >= 4; }));
  coordinator_.ComeBack();
  ASSERT_TRUE(WaitForFinish(other));
  EXPECT_EQ(Finish(other).outcome(), v1::Attempt::SUCCEEDED);
  EXPECT_EQ(Heard(other).epochs.size(), 3u);
  ASSERT_TRUE(WaitForStart(token)) << "still alive";
  EXPECT_TRUE(DrainAndJoin().ok());
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::PREEMPTED);
}

TEST_F(AgentTest, AResultWhoseReplyWasLostIsDeliveredAgain) {
  bool lost = false;
  coordinator_.SetFault([&lost](const std::string& call) {
    if (call != "FinishAttempt reply" || lost) return absl::OkStatus();
    lost = true;
    return absl::UnavailableError("connection reset");
  });
  const int64_t token = coordinator_.AddLease("succeed");
  Start();
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.heard[token].finishes.size() == 2; }));
  const auto heard = Heard(token);
  EXPECT_EQ(heard.finishes[0].SerializeAsString(),
            heard.finishes[1].SerializeAsString());
}

TEST_F(AgentTest, ARefusedResultIsDropped) {
  coordinator_.SetFault([](const std::string& call) {
    return call == "FinishAttempt reply" ? absl::AbortedError("stale")
                                         : absl::OkStatus();
  });
  const int64_t first = coordinator_.AddLease("succeed");
  const int64_t second = coordinator_.AddLease("succeed");
  Start();
  ASSERT_TRUE(WaitForFinish(first));
  ASSERT_TRUE(coordinator_.WaitUntil([&] {
    return coordinator_.heard[first].finishes.size() == 1 &&
           (coordinator_.heard[second].started || coordinator_.queue.empty());
  }));
}

TEST_F(AgentTest, AnArtifactThatTheCoordinatorLostIsStoredAgain) {
  bool refused = false;
  coordinator_.SetFault([this, &refused](const std::string& call) {
    if (call != "FinishAttempt" || refused) return absl::OkStatus();
    refused = true;
    coordinator_.artifacts.clear();
    return absl::FailedPreconditionError("not stored");
  });
  const int64_t token = coordinator_.AddLease("succeed");
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  absl::MutexLock lock(&coordinator_.mu);
  EXPECT_EQ(coordinator_.artifacts.size(), 2u);
}

TEST_F(AgentTest, AForgottenSessionIsRenewedWithTheAttemptsThatLive) {
  const int64_t token = coordinator_.AddLease("wait");
  Start();
  ASSERT_TRUE(WaitForStart(token));
  {
    absl::MutexLock lock(&coordinator_.mu);
    coordinator_.session += 100;
  }
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.registrations.size() >= 2; }));
  {
    absl::MutexLock lock(&coordinator_.mu);
    EXPECT_THAT(coordinator_.registrations.back().held_tokens(),
                ElementsAre(token));
  }
  EXPECT_TRUE(DrainAndJoin().ok());
  EXPECT_EQ(Finish(token).outcome(), v1::Attempt::PREEMPTED);
}

TEST_F(AgentTest, LeasesInALostReplyAreGivenBackByRegisteringAgain) {
  // Asked for longer than this body lasts.
  coordinator_.SetFault([lost = false](const std::string& call) mutable {
    if (call != "AcquireLeases reply" || lost) return absl::OkStatus();
    lost = true;
    return absl::UnavailableError("connection reset");
  });
  coordinator_.AddLease("succeed");
  Start();
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.registrations.size() == 2; }));
  absl::MutexLock lock(&coordinator_.mu);
  EXPECT_THAT(coordinator_.registrations[1].held_tokens(), IsEmpty());
}

TEST_F(AgentTest, ARefusedRegistrationIsAnErrorAndAnOutageIsNot) {
  int calls = 0;
  coordinator_.SetFault([&calls](const std::string&) -> absl::Status {
    if (++calls < 3) return absl::UnavailableError("not yet");
    return absl::InvalidArgumentError("slots is 0");
  });
  Start();
  EXPECT_EQ(Join().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(calls, 3);
}

TEST_F(AgentTest, WhoseNameAnotherTookEndsAndReportsNothing) {
  const int64_t token = coordinator_.AddLease("wait");
  Start();
  ASSERT_TRUE(WaitForStart(token));
  coordinator_.SetFault([](const std::string& call) {
    return call == "Register" ? absl::FailedPreconditionError("taken")
                              : absl::OkStatus();
  });
  {
    absl::MutexLock lock(&coordinator_.mu);
    coordinator_.session += 100;
  }
  EXPECT_EQ(Join(),
            absl::FailedPreconditionError("this worker was replaced: taken"));
  absl::MutexLock lock(&coordinator_.mu);
  EXPECT_TRUE(coordinator_.heard[token].finishes.empty());
  EXPECT_EQ(coordinator_.registrations.size(), 1u);
}

TEST_F(AgentTest, ANameThatIsStillAnothersIsAskedForAgain) {
  int calls = 0;
  coordinator_.SetFault([&calls](const std::string& call) {
    return call == "Register" && ++calls < 3
               ? absl::FailedPreconditionError("w runs on host other")
               : absl::OkStatus();
  });
  const int64_t token = coordinator_.AddLease("succeed");
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_TRUE(DrainAndJoin().ok());
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace foldfarm
