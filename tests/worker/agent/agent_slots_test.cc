// How a daemon fills its slots.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/worker/agent/agent_fixture.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;

TEST_F(AgentTest, FinishingBringsTheNextLeaseAndManyJobsKeepAllSlotsBusy) {
  options_.slots = 3;
  options_.devices = {"cuda:0", "cuda:1"};
  std::vector<int64_t> tokens;
  for (int i = 0; i < 20; ++i)
    tokens.push_back(coordinator_.AddLease("succeed"));
  Start();
  for (const int64_t token : tokens) {
    ASSERT_TRUE(WaitForFinish(token));
    EXPECT_EQ(Finish(token).outcome(), v1::Attempt::SUCCEEDED);
  }
  absl::MutexLock lock(&coordinator_.mu);
  EXPECT_EQ(coordinator_.calls["Download"], 1) << "one dataset for all";
  EXPECT_LT(coordinator_.calls["AcquireLeases"], 20);
  EXPECT_EQ(coordinator_.heard[tokens[0]].device, "cuda:0");
  EXPECT_EQ(coordinator_.heard[tokens[1]].device, "cuda:1");
}

TEST_F(AgentTest, AJobOfTwoSlotsGetsTheThreadsOfBoth) {
  options_.slots = 2;
  options_.threads_per_slot = 3;
  const int64_t token = coordinator_.AddLease("succeed", /*slots=*/2);
  Start();
  ASSERT_TRUE(WaitForFinish(token));
  EXPECT_THAT(Heard(token).lines, ElementsAre("info: threads 6"));
}

TEST_F(AgentTest, OffersASlotAsSoonAsItIsFree) {
  options_.slots = 2;
  options_.acquire_wait = absl::Hours(1);
  const int64_t first = coordinator_.AddLease("ignore_stop");
  const int64_t second = coordinator_.AddLease("ignore_stop");
  Start();
  ASSERT_TRUE(WaitForStart(first));
  ASSERT_TRUE(WaitForStart(second));
  const int64_t wide = coordinator_.AddLease("succeed", /*slots=*/2);
  // One is free, which is offered and not enough; then the other.
  Answer(first, v1::HeartbeatResponse::STALE);
  ASSERT_TRUE(coordinator_.WaitUntil(
      [&] { return coordinator_.calls["AcquireLeases"] == 2; }));
  Answer(second, v1::HeartbeatResponse::STALE);
  EXPECT_TRUE(WaitForFinish(wide));
}

}  // namespace
}  // namespace foldfarm
