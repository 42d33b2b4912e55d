#include "coordinator/queue/waiting_reason.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foldfarm {
namespace {

class WaitingReasonTest : public ::testing::Test {
 protected:
  WaitingReasonTest() {
    job_.id = JobId{7};
    job_.state = v1::Job::PENDING;
    farm_.now = absl::FromUnixSeconds(1700000000);  // 22:13:20 UTC.
    farm_.workers = {{.slots = 1, .free_slots = 1}};
  }
  std::string Reason(int priority = 0) const {
    return WaitingReasonOf(job_, priority, farm_);
  }

  JobRow job_;
  FarmLoad farm_;
};

TEST_F(WaitingReasonTest, WhoIsNextWaitsForNothing) {
  farm_.ready_by_priority = {{-1, 30}, {0, 4}};
  EXPECT_EQ(Reason(), "");
}

TEST_F(WaitingReasonTest, SaysUntilWhenItIsNotTriedAgain) {
  job_.not_before = farm_.now + absl::Seconds(10);
  EXPECT_EQ(Reason(), "backoff after a failed attempt until 22:13:30 UTC");
  job_.not_before = farm_.now;
  EXPECT_EQ(Reason(), "");
}

TEST_F(WaitingReasonTest, CountsWhatIsServedFirst) {
  farm_.ready_by_priority = {{-1, 30}, {0, 4}, {1, 13}, {5, 1}};
  EXPECT_EQ(Reason(), "behind 14 jobs of higher priority");
  EXPECT_EQ(Reason(1), "behind 1 job of higher priority");
  EXPECT_EQ(Reason(5), "");
}

TEST_F(WaitingReasonTest, SaysThatAllSlotsAreTaken) {
  farm_.workers = {{.slots = 1, .free_slots = 0},
                   {.slots = 4, .free_slots = 1}};
  EXPECT_EQ(Reason(), "");
  job_.slots = 2;
  EXPECT_EQ(Reason(), "no worker has 2 slots free");
  job_.slots = 5;
  EXPECT_EQ(Reason(),
            "it needs 5 slots and the largest worker online that may take it "
            "has 4");
}

TEST_F(WaitingReasonTest, SaysForWhomAWorkerKeepsItsFreeSlots) {
  farm_.workers = {{.slots = 4,
                    .free_slots = 1,
                    .name = "w",
                    .reserved_job = job_.id,
                    .reserved_slots = 2}};
  job_.slots = 2;
  EXPECT_EQ(Reason(), "worker w keeps its free slots for it, 1 of 2 so far");
  farm_.workers[0].reserved_job = JobId{8};
  EXPECT_EQ(Reason(), "no worker has 2 slots free");
  job_.slots = 1;
  EXPECT_EQ(Reason(), "worker w keeps its free slots for a job that needs 2");
}

TEST_F(WaitingReasonTest, OnlyWorkersThatMayTakeTheJobCount) {
  job_.needs_exec = true;
  EXPECT_EQ(Reason(),
            "it runs a user's program and no worker online was started with "
            "--allow-exec");
  farm_.workers.push_back({.slots = 2, .free_slots = 0, .allow_exec = true});
  EXPECT_EQ(Reason(), "no worker has 1 slot free");
}

TEST_F(WaitingReasonTest, SaysWhyThereIsNoWorker) {
  farm_.workers.clear();
  EXPECT_EQ(Reason(), "no worker is online");
  farm_.others_are_held = true;
  EXPECT_THAT(Reason(), ::testing::HasSubstr("drained or in quarantine"));
}

TEST_F(WaitingReasonTest, SaysThatItIsTooLongForAWorkerThatStops) {
  farm_.too_long[job_.id] = {"w", farm_.now + absl::Seconds(40)};
  EXPECT_EQ(Reason(),
            "worker w stops at 22:14:00 UTC, before the job would reach a "
            "checkpoint");
  farm_.now += absl::Seconds(40);  // It is gone.
  EXPECT_EQ(Reason(), "");
}

}  // namespace
}  // namespace foldfarm
