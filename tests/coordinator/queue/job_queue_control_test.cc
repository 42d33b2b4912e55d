// What people want of jobs that are there: pause, resume, retry with other
// options, another priority.
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
  std::vector<JobRow> Jobs(int64_t sweep) {
    std::vector<JobRow> rows;
    EXPECT_TRUE(store_
                    ->Read([&](const Reader& reader) -> absl::Status {
                      auto jobs = reader.ListJobs(SweepId{sweep});
                      if (!jobs.ok()) return jobs.status();
                      rows = *std::move(jobs);
                      return absl::OkStatus();
                    })
                    .ok());
    return rows;
  }
  v1::FinishAttemptRequest GivenBack(int64_t session, const v1::Lease& lease) {
    v1::FinishAttemptRequest finish = Failure(session, lease);
    finish.set_outcome(Attempt::PREEMPTED);
    return finish;
  }
};

TEST_F(JobQueueControlTest, APausedSweepIsNotLeasedUntilItIsResumed) {
  ASSERT_TRUE(Submit(Spec("m", 2), "r").ok());
  EXPECT_EQ(*queue_->SetPaused(SweepId{1}, std::nullopt, true), 4);
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

TEST_F(JobQueueControlTest, ARetriedJobTakesOtherOptionsAndAnotherKey) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w", 4);
  const v1::Lease lease = Acquire(worker)[0];
  ASSERT_TRUE(Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT)).ok());
  const JobRow before = Job(lease);
  RetryWish wish;
  wish.overrides = {"train.epochs=5"};
  wish.slots = 2;
  ASSERT_EQ(*queue_->Retry(SweepId{1}, before.id, wish), 1);
  EXPECT_NE(Job(lease).result_key, before.result_key);
  // Also after a restart.
  Restart();
  const int64_t again = Register("w", 4);
  for (const v1::Lease& next : Acquire(again, 4)) {
    if (next.spec().job() != lease.spec().job()) {
      EXPECT_EQ(next.spec().model().train().epochs(), 10);
      continue;
    }
    EXPECT_EQ(next.spec().model().train().epochs(), 5);
    EXPECT_EQ(next.slots(), 2);
  }
}

TEST_F(JobQueueControlTest, WhatIsTrainedAnewLeavesNoFormerEpochsBehind) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  v1::ReportProgressRequest report;
  report.set_token(lease.token());
  for (int epoch = 1; epoch <= 3; ++epoch) {
    v1::EpochMetrics& metrics = *report.add_epochs();
    metrics.set_epoch(epoch);
    (*metrics.mutable_values())["log_loss"] = 0.5;
  }
  ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
  ASSERT_TRUE(Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT)).ok());
  RetryWish wish;
  wish.from_scratch = true;
  wish.overrides = {"train.epochs=2"};
  ASSERT_TRUE(queue_->Retry(SweepId{1}, Job(lease).id, wish).ok());
  EXPECT_EQ(Job(lease).epoch, 0);
  EXPECT_EQ(Job(lease).log_loss, std::nullopt);
  ASSERT_TRUE(store_
                  ->Read([&](const Reader& reader) -> absl::Status {
                    auto metrics = reader.ListMetrics(Job(lease).id);
                    if (!metrics.ok()) return metrics.status();
                    EXPECT_THAT(*metrics, IsEmpty());
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(JobQueueControlTest, AnOptionThatIsNoneIsRefusedAndNothingChanges) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  ASSERT_TRUE(Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT)).ok());
  for (const auto& [set, message] :
       {std::pair("train.batchh=4", "did you mean"),
        std::pair("tta=4", "changes the whole sweep"),
        std::pair("train.batch=-1", "-1"),
        std::pair("labels=[oxalate]", "keeps its architecture")}) {
    RetryWish wish;
    wish.overrides = {set};
    const absl::Status status =
        queue_->Retry(SweepId{1}, Job(lease).id, wish).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_EQ(Job(lease).state, Job::FAILED);
  }
}

TEST_F(JobQueueControlTest, OnlyAJobThatIsOverIsRetried) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  const absl::Status running =
      queue_->Retry(SweepId{1}, Job(lease).id).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(running));
  EXPECT_THAT(std::string(running.message()), HasSubstr("is RUNNING"));
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
