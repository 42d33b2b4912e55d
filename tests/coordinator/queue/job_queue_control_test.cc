// What people want of jobs that are there: pause, resume, cancel, another
// priority.
#include <functional>

#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Answer = v1::HeartbeatResponse;
using Job = v1::Job;
using Attempt = v1::Attempt;

class JobQueueControlTest : public QueueFixture {
 protected:
  v1::FinishAttemptRequest GivenBack(int64_t session, const v1::Lease& lease) {
    v1::FinishAttemptRequest finish = Failure(session, lease);
    finish.set_outcome(Attempt::PREEMPTED);
    return finish;
  }
};

TEST_F(JobQueueControlTest, APausedSweepIsNotLeasedUntilItIsResumed) {
  ASSERT_TRUE(Submit(Spec("m", 2), "r").ok());
  EXPECT_EQ(*queue_->SetPaused(SweepId{1}, std::nullopt, false), 0);
  EXPECT_EQ(*queue_->SetPaused(SweepId{1}, std::nullopt, true), 4);
  EXPECT_EQ(*queue_->SetPaused(SweepId{1}, std::nullopt, true), 0);
  int64_t worker = Register("w", 8);
  EXPECT_THAT(Acquire(worker, 8), IsEmpty());
  EXPECT_THAT(WaitingReason(Jobs(1)[0]), HasSubstr("paused"));
  // Also the one that is started again.
  Restart();
  worker = Register("w", 8);
  EXPECT_THAT(Acquire(worker, 8), IsEmpty());
  EXPECT_EQ(*queue_->SetPaused(SweepId{1}, std::nullopt, false), 4);
  EXPECT_THAT(Acquire(worker, 8), SizeIs(4));
}

TEST_F(JobQueueControlTest, WhatRunsIsHandedBackUnchargedAndWaits) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w", 2);
  const v1::Lease lease = Acquire(worker)[0];
  EXPECT_EQ(Beat(worker, lease.token()), Answer::CONTINUE);
  const JobId job = Job(lease).id;
  EXPECT_EQ(*queue_->SetPaused(SweepId{1}, job, true), 1);
  EXPECT_EQ(Beat(worker, lease.token()), Answer::PREEMPT);
  EXPECT_EQ(Finish(GivenBack(worker, lease))->job_state(), Job::PENDING);
  EXPECT_EQ(Job(lease).failed_count, 0);
  // The other fold's job goes on.
  const std::vector<v1::Lease> other = Acquire(worker, 2);
  ASSERT_THAT(other, SizeIs(1));
  EXPECT_NE(other[0].spec().job(), lease.spec().job());
  EXPECT_EQ(*queue_->SetPaused(SweepId{1}, job, false), 1);
  EXPECT_THAT(Acquire(worker), SizeIs(1));
}

TEST_F(JobQueueControlTest, ResumedBeforeItWasToldTheAttemptGoesOn) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  ASSERT_TRUE(queue_->SetPaused(SweepId{1}, std::nullopt, true).ok());
  ASSERT_TRUE(queue_->SetPaused(SweepId{1}, std::nullopt, false).ok());
  EXPECT_EQ(Beat(worker, lease.token()), Answer::CONTINUE);
}

TEST_F(JobQueueControlTest, AWorkerThatWaitsIsWokenToHearWhatToStop) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  const auto wakes_it = [&](const std::function<absl::Status()>& act) {
    v1::AcquireLeasesRequest request;
    request.set_session(worker);
    request.set_free_slots(0);
    request.set_wait_seconds(60);
    absl::Notification answered;
    queue_->AcquireLeases(request, this,
                          [&](absl::StatusOr<v1::AcquireLeasesResponse> reply) {
                            EXPECT_TRUE(reply.ok()) << reply.status();
                            EXPECT_THAT(reply->leases(), IsEmpty());
                            answered.Notify();
                          });
    queue_->RunDue();
    EXPECT_FALSE(answered.HasBeenNotified());
    ASSERT_TRUE(act().ok());
    answered.WaitForNotification();
  };
  wakes_it([&] { return queue_->DrainWorker("w", "new fans"); });
  EXPECT_EQ(Beat(worker, lease.token()), Answer::PREEMPT);
  wakes_it([&] { return queue_->UndrainWorker("w"); });
  EXPECT_EQ(Beat(worker, lease.token()), Answer::CONTINUE);
  wakes_it([&] { return queue_->Cancel(SweepId{1}, std::nullopt).status(); });
  EXPECT_EQ(Beat(worker, lease.token()), Answer::CANCEL);
}

TEST_F(JobQueueControlTest, AJobThatAPersonCancelsHasNoErrorOfTheFarms) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w", 2);
  const v1::Lease runs = Acquire(worker)[0];
  const v1::Lease waits = Acquire(worker)[0];
  ASSERT_TRUE(Finish(Failure(worker, waits)).ok());
  ASSERT_EQ(Job(waits).state, Job::PENDING);
  ASSERT_EQ(Job(waits).error, "loss is nan");
  ASSERT_TRUE(queue_->Cancel(SweepId{1}, std::nullopt).ok());
  v1::FinishAttemptRequest stopped = Failure(worker, runs);
  stopped.set_outcome(Attempt::CANCELLED);
  ASSERT_TRUE(Finish(stopped).ok());
  for (const JobRow& job : Jobs(1)) {
    EXPECT_EQ(job.state, Job::CANCELLED);
    EXPECT_EQ(job.error, "");
    EXPECT_FALSE(job.dropped);
  }
}

TEST_F(JobQueueControlTest, AHigherPriorityIsServedFirstFromNowOn) {
  ASSERT_TRUE(Submit(Spec("a", 1), "a").ok());
  ASSERT_TRUE(Submit(Spec("b", 1), "b").ok());
  EXPECT_EQ(*queue_->SetPriority(SweepId{2}, 5), 2);
  int64_t worker = Register("w");
  EXPECT_EQ(Acquire(worker)[0].spec().job(), "s2/b0/0");
  Restart();
  worker = Register("v");
  EXPECT_EQ(Acquire(worker)[0].spec().job(), "s2/b0/1");
  EXPECT_EQ(*queue_->SetPriority(SweepId{2}, -5), 2);
  EXPECT_EQ(Acquire(worker)[0].spec().job(), "s1/a0/0");
  EXPECT_TRUE(
      absl::IsInvalidArgument(queue_->SetPriority(SweepId{2}, 1001).status()));
}

}  // namespace
}  // namespace foldfarm
