// Sweeps that stop once more models do not help.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/coordinator/queue/rules_fixture.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Job = v1::Job;
using Answer = v1::HeartbeatResponse;

using StopWhenTest = RulesFixture;

constexpr char kNote[] = "stopped: the last 2 models gained less than 0.01";

TEST_F(StopWhenTest, WhatIsLeftIsCancelledOnceModelsDoNotHelp) {
  ASSERT_TRUE(Submit(Stopping(5, 2), "r").ok());
  EXPECT_THAT(Train(Register("w")),
              ElementsAre("s1/m0/0", "s1/m0/1", "s1/m1/0", "s1/m1/1", "s1/m2/0",
                          "s1/m2/1"));
  EXPECT_EQ(Sweep().stopped, kNote);
  EXPECT_EQ(In(Job::CANCELLED), "m3/0 m3/1 m4/0 m4/1");
  const JobRow dropped = JobNamed("m4", 1);
  EXPECT_TRUE(dropped.dropped);
  EXPECT_EQ(dropped.error, kNote);
  EXPECT_THAT(Events(dropped.id), ElementsAre(kNote));
}

TEST_F(StopWhenTest, AsLongAsModelsHelpTheSweepGoesOn) {
  right_ = {{"m0", 0.6f}, {"m1", 0.7f}, {"m2", 0.8f}, {"m3", 0.9f}};
  ASSERT_TRUE(Submit(Stopping(4, 1), "r").ok());
  EXPECT_EQ(Train(Register("w")).size(), 8u);
  EXPECT_EQ(Sweep().stopped, "");
}

TEST_F(StopWhenTest, NothingIsSaidWhenNothingIsLeft) {
  ASSERT_TRUE(Submit(Stopping(3, 2), "r").ok());
  EXPECT_EQ(Train(Register("w")).size(), 6u);
  EXPECT_EQ(Sweep().stopped, "");
}

TEST_F(StopWhenTest, ARunningJobIsToldToStopAndSaysWhy) {
  ASSERT_TRUE(Submit(Stopping(4, 1), "r").ok());
  const int64_t worker = Register("w");
  Train(worker, 3);
  const int64_t other = Register("other", 2);
  const std::vector<v1::Lease> running = Acquire(other, 2);
  ASSERT_EQ(running.size(), 2u);
  EXPECT_EQ(running[0].spec().job(), "s1/m1/1");
  ASSERT_TRUE(Finish(Trained(other, running[0])).ok());
  queue_->WaitUntilJudged();
  const std::string note = "stopped: the last model gained less than 0.01";
  EXPECT_EQ(Sweep().stopped, note);
  EXPECT_EQ(Beat(other, running[1].token()), Answer::CANCEL);
  Restart();
  const int64_t again = Register("other", 2, {running[1].token()});
  EXPECT_EQ(Beat(again, running[1].token()), Answer::CANCEL);
  v1::FinishAttemptRequest finish = Failure(again, running[1]);
  finish.set_outcome(v1::Attempt::CANCELLED);
  EXPECT_EQ(Finish(finish)->job_state(), Job::CANCELLED);
  const JobRow stopped = Job(running[1]);
  EXPECT_TRUE(stopped.dropped);
  EXPECT_EQ(stopped.error, note);
  EXPECT_THAT(Events(stopped.id),
              testing::Contains("cancel requested: " + note));
}

TEST_F(StopWhenTest, AJobThatSucceedsAllTheSameIsKept) {
  ASSERT_TRUE(Submit(Stopping(4, 1), "r").ok());
  const int64_t worker = Register("w");
  Train(worker, 3);
  const int64_t other = Register("other", 2);
  const std::vector<v1::Lease> running = Acquire(other, 2);
  ASSERT_TRUE(Finish(Trained(other, running[0])).ok());
  queue_->WaitUntilJudged();
  EXPECT_TRUE(Job(running[1]).dropped);
  EXPECT_EQ(Finish(Trained(other, running[1]))->job_state(), Job::SUCCEEDED);
  const JobRow kept = Job(running[1]);
  EXPECT_FALSE(kept.dropped);
  EXPECT_EQ(kept.error, "");
}

TEST_F(StopWhenTest, ASweepThatAPersonTriesAgainRunsToItsEnd) {
  ASSERT_TRUE(Submit(Stopping(5, 2), "r").ok());
  const int64_t worker = Register("w");
  Train(worker);
  EXPECT_EQ(*queue_->Retry(SweepId{1}, std::nullopt), 4);
  queue_->WaitUntilJudged();
  Restart();
  queue_->WaitUntilJudged();
  EXPECT_EQ(Train(Register("w")).size(), 4u);
  EXPECT_EQ(In(Job::CANCELLED), "");
  EXPECT_EQ(Sweep().stopped, kNote) << "that is what the farm did";
}

TEST_F(StopWhenTest, ADecisionThatACrashPreventedIsTakenAtTheStart) {
  ASSERT_TRUE(Submit(Stopping(5, 2), "r").ok());
  Train(Register("w"));
  ForgetDecisions();
  queue_->WaitUntilJudged();
  EXPECT_EQ(Sweep().stopped, kNote);
  EXPECT_EQ(In(Job::CANCELLED), "m3/0 m3/1 m4/0 m4/1");
}

TEST_F(StopWhenTest, ARestartInTheMiddleDoesNotLoseTheCount) {
  ASSERT_TRUE(Submit(Stopping(5, 2), "r").ok());
  int64_t worker = Register("w");
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Train(worker, 1).size(), 1u);
    Restart();
    worker = Register("w");
  }
  EXPECT_EQ(Sweep().stopped, "");
  EXPECT_THAT(Train(worker), ElementsAre("s1/m2/1"));
  EXPECT_EQ(Sweep().stopped, kNote);
}

TEST_F(StopWhenTest, TheSameSweepAnewStopsAtOnce) {
  ASSERT_TRUE(Submit(Stopping(5, 2), "one").ok());
  const int64_t worker = Register("w");
  Train(worker);
  EXPECT_EQ(Submit(Stopping(5, 2), "two")->reused(), 6);
  queue_->WaitUntilJudged();
  EXPECT_EQ(Sweep(2).stopped, kNote);
  EXPECT_EQ(In(Job::CANCELLED, 2), "m3/0 m3/1 m4/0 m4/1");
  EXPECT_THAT(Acquire(worker), IsEmpty());
}

TEST_F(StopWhenTest, ReusedModelsCountInTheOrderInWhichTheyWereTrained) {
  // m0 and m1 are alike: in the file's order m1 would be no help.
  right_ = {{"m2", 0.6f}, {"m0", 0.9f}, {"m1", 0.9f}};
  const int64_t worker = Register("w");
  v1::SweepSpec first = Spec("m", 3);
  first.set_order(v1::JOB_ORDER_MODEL_MAJOR);
  first.mutable_models()->SwapElements(1, 2);
  first.mutable_models()->SwapElements(0, 1);
  ASSERT_TRUE(Submit(first, "one").ok());
  EXPECT_EQ(Train(worker).front(), "s1/m2/0");
  EXPECT_EQ(Submit(Stopping(4, 1), "two")->reused(), 6);
  queue_->WaitUntilJudged();
  EXPECT_EQ(Sweep(2).stopped, "");
  EXPECT_EQ(In(Job::PENDING, 2), "m3/0 m3/1");
}

TEST_F(StopWhenTest, AFailedModelNeitherHelpsNorCounts) {
  ASSERT_TRUE(Submit(Stopping(5, 2), "r").ok());
  const int64_t worker = Register("w");
  Train(worker, 2);
  ASSERT_TRUE(
      Finish(Failure(worker, Acquire(worker)[0], v1::FAILURE_KIND_PERMANENT))
          .ok());
  EXPECT_EQ(Train(worker).back(), "s1/m3/1");
  EXPECT_EQ(Sweep().stopped, kNote);
  EXPECT_EQ(In(Job::FAILED), "m1/0");
  EXPECT_EQ(In(Job::CANCELLED), "m4/0 m4/1");
}

TEST_F(StopWhenTest, AScreenedSweepStopsAmongThoseThatGoOn) {
  v1::SweepSpec spec = Stopping(6, 2);
  spec.mutable_screen()->set_keep(4);
  right_ = {{"m1", 0.6f}, {"m4", 0.6f}};
  ASSERT_TRUE(Submit(spec, "r").ok());
  EXPECT_EQ(Train(Register("w")).size(), 9u);
  EXPECT_EQ(Sweep().screened, "screened: 4 of 6 models go on");
  EXPECT_EQ(Sweep().stopped, kNote);
  EXPECT_EQ(In(Job::CANCELLED), "m1/1 m4/1 m5/1");
  EXPECT_EQ(JobNamed("m5", 1).error, kNote);
  EXPECT_THAT(JobNamed("m4", 1).error, testing::HasSubstr("screening"));
  // All of it is there already for the same sweep anew.
  ASSERT_TRUE(Submit(spec, "again").ok());
  queue_->WaitUntilJudged();
  EXPECT_EQ(Sweep(2).screened, "screened: 4 of 6 models go on");
  EXPECT_EQ(Sweep(2).stopped, kNote);
  EXPECT_EQ(In(Job::CANCELLED, 2), "m1/1 m4/1 m5/1");
}

TEST_F(StopWhenTest, AModelThatCannotBeReadDoesNotCount) {
  ASSERT_TRUE(Submit(Stopping(5, 2), "r").ok());
  const int64_t worker = Register("w");
  right_["m0"] = 0.81f;  // A file of its own.
  const v1::FinishAttemptRequest lost = Trained(worker, Acquire(worker)[0]);
  ASSERT_TRUE(Finish(lost).ok());
  files_->Remove(lost.artifacts(0).digest());
  EXPECT_EQ(Train(worker).back(), "s1/m3/1");
  EXPECT_EQ(Sweep().stopped, kNote);
}

}  // namespace
}  // namespace foldfarm
