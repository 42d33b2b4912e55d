// Sweeps that try all models on one fold first.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/coordinator/queue/rules_fixture.h"

namespace foldfarm {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using Job = v1::Job;

class ScreenTest : public RulesFixture {
 protected:
  ScreenTest() {
    right_ = {{"m0", 0.9f}, {"m1", 0.6f}, {"m2", 0.8f}, {"m3", 0.7f}};
  }
};

TEST_F(ScreenTest, TheOtherFoldsWaitForTheTrialOfAllModels) {
  ASSERT_TRUE(Submit(Screened(3, 1), "r").ok());
  const int64_t worker = Register("w", 10);
  const std::vector<v1::Lease> leases = Acquire(worker, 10);
  ASSERT_EQ(leases.size(), 3u);
  EXPECT_EQ(leases[2].spec().job(), "s1/m2/0");
  EXPECT_EQ(WaitingReason(JobNamed("m0", 1)),
            "screened: waits for fold 0 of 3 more models");
  ASSERT_TRUE(Finish(Trained(worker, leases[0])).ok());
  ASSERT_TRUE(Finish(Trained(worker, leases[1])).ok());
  queue_->WaitUntilJudged();
  EXPECT_EQ(WaitingReason(JobNamed("m0", 1)),
            "screened: waits for fold 0 of 1 more model");
  EXPECT_THAT(Acquire(worker, 10), IsEmpty());
  EXPECT_EQ(Sweep().screened, "");
}

TEST_F(ScreenTest, TheBestGoOnAndTheOthersSayWhyNot) {
  ASSERT_TRUE(Submit(Screened(4, 2), "r").ok());
  const int64_t worker = Register("w");
  EXPECT_THAT(Train(worker), ElementsAre("s1/m0/0", "s1/m1/0", "s1/m2/0",
                                         "s1/m3/0", "s1/m0/1", "s1/m2/1"));
  EXPECT_EQ(Sweep().screened, "screened: 2 of 4 models go on");
  EXPECT_EQ(In(Job::CANCELLED), "m1/1 m3/1");
  const JobRow dropped = JobNamed("m1", 1);
  EXPECT_TRUE(dropped.dropped);
  // -log(0.6 * 0.996 + 0.002), the predictions as float32.
  EXPECT_EQ(dropped.error,
            "not kept by screening: rank 4 of 4, log loss 0.5115");
  EXPECT_THAT(Events(dropped.id), ElementsAre(dropped.error));
  EXPECT_EQ(WaitingReason(dropped), "");
}

TEST_F(ScreenTest, AWaitingWorkerGetsWhatGoesOnWithoutAskingAgain) {
  ASSERT_TRUE(Submit(Screened(2, 1), "r").ok());
  const int64_t worker = Register("w");
  const std::vector<v1::Lease> trial = Acquire(worker, 2);
  ASSERT_EQ(trial.size(), 1u);
  ASSERT_TRUE(Finish(Trained(worker, trial[0])).ok());
  const v1::Lease last = Acquire(worker)[0];
  v1::AcquireLeasesRequest request;
  request.set_session(worker);
  request.set_free_slots(1);
  request.set_wait_seconds(30);
  absl::Notification answered;
  std::string job;
  queue_->AcquireLeases(request, this,
                        [&](absl::StatusOr<v1::AcquireLeasesResponse> r) {
                          job = r->leases(0).spec().job();
                          answered.Notify();
                        });
  ASSERT_TRUE(Finish(Trained(worker, last)).ok());
  answered.WaitForNotification();
  EXPECT_EQ(job, "s1/m0/1");
}

TEST_F(ScreenTest, AnyFoldMayBeTheTrial) {
  v1::SweepSpec spec = Screened(3, 1, /*fold=*/1);
  spec.set_order(v1::JOB_ORDER_MODEL_MAJOR);
  ASSERT_TRUE(Submit(spec, "r").ok());
  EXPECT_THAT(Train(Register("w")),
              ElementsAre("s1/m0/1", "s1/m1/1", "s1/m2/1", "s1/m0/0"));
}

TEST_F(ScreenTest, WhoeverFailsTheTrialDoesNotGoOn) {
  ASSERT_TRUE(Submit(Screened(4, 3), "r").ok());
  const int64_t worker = Register("w");
  EXPECT_THAT(Train(worker, 1), ElementsAre("s1/m0/0"));
  ASSERT_TRUE(
      Finish(Failure(worker, Acquire(worker)[0], v1::FAILURE_KIND_PERMANENT))
          .ok());
  EXPECT_EQ(*queue_->Cancel(SweepId{1}, JobNamed("m2", 0).id), 1);
  EXPECT_THAT(Train(worker), ElementsAre("s1/m3/0", "s1/m0/1", "s1/m3/1"));
  EXPECT_EQ(Sweep().screened, "screened: 2 of 4 models go on");
  EXPECT_EQ(JobNamed("m1", 1).error, "not kept by screening: fold 0 failed");
  EXPECT_EQ(JobNamed("m2", 1).error,
            "not kept by screening: fold 0 was cancelled");
  EXPECT_FALSE(JobNamed("m2", 0).dropped) << "a person cancelled it";
}

TEST_F(ScreenTest, AJobThatIsTriedAgainIsWaitedFor) {
  ASSERT_TRUE(Submit(Screened(2, 1), "r").ok());
  const int64_t worker = Register("w");
  ASSERT_TRUE(Finish(Failure(worker, Acquire(worker)[0])).ok());
  EXPECT_THAT(Train(worker), ElementsAre("s1/m1/0")) << "m0/0 backs off";
  EXPECT_EQ(WaitingReason(JobNamed("m1", 1)),
            "screened: waits for fold 0 of 1 more model");
  clock_.Advance(absl::Minutes(5));
  EXPECT_THAT(Train(Register("w2")), ElementsAre("s1/m0/0", "s1/m0/1"));
}

TEST_F(ScreenTest, NobodyGoesOnWhenAllFailed) {
  ASSERT_TRUE(Submit(Screened(2, 1), "r").ok());
  const int64_t worker = Register("w");
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(
        Finish(Failure(worker, Acquire(worker)[0], v1::FAILURE_KIND_PERMANENT))
            .ok());
  }
  queue_->WaitUntilJudged();
  EXPECT_EQ(Sweep().screened, "screened: 0 of 2 models go on");
  EXPECT_EQ(In(Job::CANCELLED), "m0/1 m1/1");
}

TEST_F(ScreenTest, WhatWasTrainedBeforeNeedsNoTrial) {
  const int64_t worker = Register("w");
  ASSERT_TRUE(Submit(Spec("m", 3), "all").ok());
  EXPECT_EQ(Train(worker, 4).back(), "s1/m0/1");
  EXPECT_EQ(*queue_->Cancel(SweepId{1}, std::nullopt), 2);
  EXPECT_EQ(Submit(Screened(3, 1), "screened")->reused(), 4);
  queue_->WaitUntilJudged();
  EXPECT_EQ(Sweep(2).screened, "screened: 1 of 3 models goes on");
  EXPECT_EQ(In(Job::CANCELLED, 2), "m1/1 m2/1");
  EXPECT_EQ(In(Job::SUCCEEDED, 2), "m0/0 m1/0 m2/0 m0/1");
}

TEST_F(ScreenTest, SubmittingAgainWithTheSameIdChangesNothing) {
  ASSERT_TRUE(Submit(Screened(3, 1), "r").ok());
  const int64_t worker = Register("w");
  Train(worker, 3);
  const std::string cancelled = In(Job::CANCELLED);
  EXPECT_EQ(Submit(Screened(3, 1), "r")->sweep(), "s1");
  queue_->WaitUntilJudged();
  EXPECT_EQ(In(Job::CANCELLED), cancelled);
  // The same sweep anew ends the same way, and trains only what is left.
  ASSERT_TRUE(Submit(Screened(3, 1), "r2").ok());
  queue_->WaitUntilJudged();
  EXPECT_EQ(In(Job::CANCELLED, 2), cancelled);
  EXPECT_EQ(In(Job::PENDING, 2), "m0/1");
}

TEST_F(ScreenTest, ARestartDuringTheTrialHoldsTheOthersBackStill) {
  ASSERT_TRUE(Submit(Screened(3, 1), "r").ok());
  const int64_t worker = Register("w");
  Train(worker, 1);
  const v1::Lease running = Acquire(worker)[0];
  Restart();
  EXPECT_EQ(WaitingReason(JobNamed("m0", 1)),
            "screened: waits for fold 0 of 2 more models");
  const int64_t again = Register("w", 1, {running.token()});
  ASSERT_TRUE(Finish(Trained(again, running)).ok());
  EXPECT_THAT(Train(again), ElementsAre("s1/m2/0", "s1/m0/1"));
}

TEST_F(ScreenTest, ADecisionThatACrashPreventedIsTakenAtTheStart) {
  ASSERT_TRUE(Submit(Screened(3, 1), "r").ok());
  Train(Register("w"), 3);
  const std::string cancelled = In(Job::CANCELLED);
  EXPECT_EQ(cancelled, "m1/1 m2/1");
  ForgetDecisions();
  queue_->WaitUntilJudged();
  EXPECT_EQ(Sweep().screened, "screened: 1 of 3 models goes on");
  EXPECT_EQ(In(Job::CANCELLED), cancelled);
  EXPECT_THAT(Train(Register("w")), ElementsAre("s1/m0/1"));
}

TEST_F(ScreenTest, ADroppedJobThatAPersonTriesAgainRuns) {
  ASSERT_TRUE(Submit(Screened(3, 1), "r").ok());
  const int64_t worker = Register("w");
  Train(worker);
  const JobRow dropped = JobNamed("m1", 1);
  EXPECT_EQ(*queue_->Retry(SweepId{1}, dropped.id), 1);
  queue_->WaitUntilJudged();
  Restart();
  queue_->WaitUntilJudged();
  EXPECT_EQ(In(Job::PENDING), "m1/1");
  EXPECT_EQ(JobNamed("m1", 1).error, "");
  EXPECT_THAT(Train(Register("w")), ElementsAre("s1/m1/1"));
  EXPECT_EQ(In(Job::CANCELLED), "m2/1");
}

TEST_F(ScreenTest, TryingASweepAgainMeansWhatFailedBeforeWhatWasDropped) {
  ASSERT_TRUE(Submit(Screened(3, 1), "r").ok());
  const int64_t worker = Register("w");
  Train(worker, 3);
  ASSERT_TRUE(
      Finish(Failure(worker, Acquire(worker)[0], v1::FAILURE_KIND_PERMANENT))
          .ok());
  EXPECT_EQ(*queue_->Retry(SweepId{1}, std::nullopt), 1);
  EXPECT_THAT(Train(worker), ElementsAre("s1/m0/1"));
  EXPECT_EQ(In(Job::CANCELLED), "m1/1 m2/1");
  EXPECT_EQ(*queue_->Retry(SweepId{1}, std::nullopt), 2);
  EXPECT_THAT(Train(worker), ElementsAre("s1/m1/1", "s1/m2/1"));
}

TEST_F(ScreenTest, ATrialThatAPersonRepeatsMeanwhileIsJudgedAnew) {
  bool retried = false;
  options_.before_decision = [&] {
    if (retried) return;
    retried = true;
    EXPECT_EQ(*queue_->Retry(SweepId{1}, JobNamed("m0", 0).id), 1);
  };
  Restart();
  ASSERT_TRUE(Submit(Screened(2, 1), "r").ok());
  const int64_t worker = Register("w");
  ASSERT_TRUE(
      Finish(Failure(worker, Acquire(worker)[0], v1::FAILURE_KIND_PERMANENT))
          .ok());
  EXPECT_THAT(Train(worker, 1), ElementsAre("s1/m1/0"));
  EXPECT_TRUE(retried);
  EXPECT_EQ(Sweep().screened, "") << "the trial is not over";
  EXPECT_EQ(In(Job::CANCELLED), "");
  EXPECT_THAT(Train(worker), ElementsAre("s1/m0/0", "s1/m0/1"));
  EXPECT_EQ(In(Job::CANCELLED), "m1/1");
}

TEST_F(ScreenTest, ASweepCancelledDuringItsTrialMayBeTriedAgain) {
  ASSERT_TRUE(Submit(Screened(3, 1), "r").ok());
  const int64_t worker = Register("w");
  Train(worker, 1);
  EXPECT_EQ(*queue_->Cancel(SweepId{1}, std::nullopt), 5);
  queue_->WaitUntilJudged();
  EXPECT_EQ(Sweep().screened, "");
  Restart();
  EXPECT_EQ(*queue_->Retry(SweepId{1}, std::nullopt), 5);
  EXPECT_THAT(Train(Register("w")),
              ElementsAre("s1/m1/0", "s1/m2/0", "s1/m0/1"));
}

TEST_F(ScreenTest, WhatWaitsAloneAfterTheTrialIsJudgedToo) {
  ASSERT_TRUE(Submit(Screened(2, 1), "r").ok());
  for (const JobRow& job : Jobs(1)) {
    if (job.fold == 0) continue;
    EXPECT_EQ(*queue_->Cancel(SweepId{1}, job.id), 1);
  }
  const int64_t worker = Register("w");
  Train(worker);
  EXPECT_EQ(Sweep().screened, "") << "nothing waits for a decision";
  Restart();
  EXPECT_EQ(*queue_->Retry(SweepId{1}, JobNamed("m0", 1).id), 1);
  queue_->WaitUntilJudged();
  EXPECT_THAT(Train(Register("w")), ElementsAre("s1/m0/1"));
}

TEST_F(ScreenTest, PredictionsThatCannotBeReadAreNotKept) {
  ASSERT_TRUE(Submit(Screened(3, 2), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  const v1::FinishAttemptRequest lost = Trained(worker, lease);
  ASSERT_TRUE(Finish(lost).ok());
  files_->Remove(lost.artifacts(0).digest());
  Train(worker);
  EXPECT_EQ(Sweep().screened, "screened: 2 of 3 models go on");
  EXPECT_THAT(JobNamed("m0", 1).error,
              StartsWith("not kept by screening: its predictions of fold 0 "
                         "cannot be read: "));
}

TEST_F(ScreenTest, AComparisonThatCannotBeMadeLetsAllGoOn) {
  ASSERT_TRUE(Submit(Screened(2, 1), "r").ok());
  files_->Remove(dataset_.digest());
  EXPECT_EQ(Train(Register("w")).size(), 4u);
  EXPECT_THAT(Sweep().screened,
              StartsWith("screening failed, all models go on: dataset: "));
}

TEST_F(ScreenTest, AClientOfItsOwnMakingIsToldWhatCannotBe) {
  const auto refused = Submit(Screened(3, 3), "r");
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("screen.keep is 3"));
}

}  // namespace
}  // namespace foldfarm
