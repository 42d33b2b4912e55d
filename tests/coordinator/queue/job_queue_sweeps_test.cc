#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/queue/job_queue.h"
#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using Job = v1::Job;
using Attempt = v1::Attempt;
using Answer = v1::HeartbeatResponse;

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class JobQueueSweepsTest : public QueueFixture {
 protected:
  // Of a job's epochs, one after another.
  std::vector<double> LogLosses(JobId job) {
    std::vector<double> curve;
    const absl::Status status =
        store_->Read([&](const Reader& reader) -> absl::Status {
          const auto epochs = reader.ListMetrics(job);
          if (!epochs.ok()) return epochs.status();
          for (const v1::EpochMetrics& epoch : *epochs) {
            curve.push_back(epoch.values().at("log_loss"));
          }
          return absl::OkStatus();
        });
    EXPECT_TRUE(status.ok()) << status;
    return curve;
  }
};

TEST_F(JobQueueSweepsTest, SubmittingTwiceWithOneRequestIdMakesOneSweep) {
  const auto first = Submit(Spec("m", 2), "same");
  const auto second = Submit(Spec("m", 2), "same");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->sweep(), first->sweep());
  EXPECT_EQ(second->jobs(), 4);
  EXPECT_TRUE(Jobs(2).empty());
}

TEST_F(JobQueueSweepsTest, ASweepThatIsOnlyCheckedLeavesNothing) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  ASSERT_TRUE(Finish(Success(worker, Acquire(worker)[0])).ok());
  v1::SubmitSweepRequest request;
  request.set_dataset("tiny");
  request.set_validate_only(true);
  *request.mutable_spec() = Spec("m", 2);
  // Its file is not there yet.
  request.mutable_spec()->mutable_models(1)->mutable_init()->set_digest(
      std::string(64, 'a'));
  const auto reply = queue_->SubmitSweep(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_EQ(reply->sweep(), "");
  EXPECT_EQ(reply->jobs(), 4);
  EXPECT_EQ(reply->reused(), 1);
  EXPECT_TRUE(Jobs(2).empty());

  request.mutable_spec()->mutable_folds()->set_count(99);
  EXPECT_TRUE(absl::IsInvalidArgument(queue_->SubmitSweep(request).status()));
  request.mutable_spec()->mutable_folds()->set_count(2);
  v1::InitSpec& init =
      *request.mutable_spec()->mutable_models(0)->mutable_init();
  init.set_weights("nobodys");
  EXPECT_TRUE(absl::IsNotFound(queue_->SubmitSweep(request).status()));
}

TEST_F(JobQueueSweepsTest, AWaitingWorkerGetsWorkAsSoonAsItIsSubmitted) {
  v1::AcquireLeasesRequest request;
  request.set_session(Register("w"));
  request.set_free_slots(1);
  request.set_wait_seconds(30);
  absl::Notification answered;
  std::string job;
  queue_->AcquireLeases(request, this,
                        [&](absl::StatusOr<v1::AcquireLeasesResponse> r) {
                          job = r->leases(0).spec().job();
                          answered.Notify();
                        });
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  answered.WaitForNotification();
  EXPECT_EQ(job, "s1/m0/0");
}

TEST_F(JobQueueSweepsTest, AWaitEndsEmptyWhenItsTimeIsUp) {
  v1::AcquireLeasesRequest request;
  request.set_session(Register("w"));
  request.set_free_slots(1);
  request.set_wait_seconds(30);
  absl::Notification answered;
  queue_->AcquireLeases(request, this,
                        [&](absl::StatusOr<v1::AcquireLeasesResponse> r) {
                          EXPECT_EQ(r->leases_size(), 0);
                          answered.Notify();
                        });
  queue_->RunDue();
  EXPECT_FALSE(answered.HasBeenNotified());
  clock_.Advance(absl::Seconds(30));
  answered.WaitForNotification();
}

TEST_F(JobQueueSweepsTest, AWorkerThatHungUpIsGrantedNothing) {
  v1::AcquireLeasesRequest request;
  request.set_session(Register("w"));
  request.set_free_slots(1);
  request.set_wait_seconds(30);
  absl::Notification answered;
  queue_->AcquireLeases(
      request, this,
      [&](absl::StatusOr<v1::AcquireLeasesResponse>) { answered.Notify(); });
  queue_->StopWaitingFor(this);
  answered.WaitForNotification();
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  EXPECT_EQ(Jobs(1)[0].state, Job::PENDING);
}

TEST_F(JobQueueSweepsTest, SweepsShareAWorkerFairly) {
  ASSERT_TRUE(Submit(Spec("a", 2), "a").ok());
  ASSERT_TRUE(Submit(Spec("b", 2), "b").ok());
  std::vector<std::string> order;
  for (const v1::Lease& lease : Acquire(Register("w", 4), 4)) {
    order.push_back(lease.spec().job());
  }
  EXPECT_THAT(order, ElementsAre("s1/a0/0", "s2/b0/0", "s1/a1/0", "s2/b1/0"));
}

TEST_F(JobQueueSweepsTest, ASweepOfHigherPriorityGoesFirst) {
  ASSERT_TRUE(Submit(Spec("a", 1), "a").ok());
  v1::SweepSpec urgent = Spec("b", 1);
  urgent.set_priority(10);
  ASSERT_TRUE(Submit(urgent, "b").ok());
  EXPECT_EQ(Acquire(Register("w"))[0].spec().job(), "s2/b0/0");
}

TEST_F(JobQueueSweepsTest, AResultWithTheSameKeyIsReused) {
  ASSERT_TRUE(Submit(Spec("m", 1), "one").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  ASSERT_TRUE(Finish(Success(worker, lease)).ok());
  v1::SweepSpec grown = Spec("m", 2);
  grown.set_name("grown");
  const auto second = Submit(grown, "two");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->jobs(), 4);
  EXPECT_EQ(second->reused(), 1);
  const JobRow job = Jobs(2)[0];
  EXPECT_EQ(job.state, Job::SUCCEEDED);
  EXPECT_EQ(job.reused_from, Job(lease).id);
  EXPECT_EQ(job.log_loss, 0.5);
  const auto third = Submit(grown, "three", /*no_reuse=*/true);
  EXPECT_EQ(third->reused(), 0);
}

TEST_F(JobQueueSweepsTest, WhatAnUnfinishedJobOfTheSameKeyBeganGoesOn) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r1").ok());
  const int64_t worker = Register("w", 4);
  const v1::Lease lease = Acquire(worker)[0];
  v1::ReportProgressRequest report;
  report.set_token(lease.token());
  *report.add_checkpoint() = Keep("weights", "weights.safetensors");
  *report.add_checkpoint() = Keep("state", "state.safetensors");
  report.set_checkpoint_epoch(4);
  for (int epoch = 1; epoch <= 6; ++epoch) {
    v1::EpochMetrics& metrics = *report.add_epochs();
    metrics.set_epoch(epoch);
    (*metrics.mutable_values())["log_loss"] = 1.0 / epoch;
  }
  ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
  // The edited sweep, which has the model still.
  ASSERT_TRUE(Submit(Spec("m", 2), "r2").ok());
  ASSERT_TRUE(queue_->Cancel(SweepId{1}, std::nullopt).ok());
  EXPECT_EQ(Jobs(2)[0].checkpoint_epoch, 4);
  EXPECT_EQ(Jobs(2)[1].checkpoint_epoch, 0) << "another model";
  // Its curve is whole: what comes next is epoch 5.
  EXPECT_THAT(LogLosses(Jobs(2)[0].id), ElementsAre(1, 1 / 2., 1 / 3., 1 / 4.));
  EXPECT_THAT(LogLosses(Jobs(2)[1].id), IsEmpty());
  const v1::Lease next = Acquire(worker)[0];
  EXPECT_EQ(next.spec().job(), "s2/m0/0");
  EXPECT_EQ(next.checkpoint_epoch(), 4);
  EXPECT_EQ(next.checkpoint_size(), 2);
  // Unless people want it anew.
  ASSERT_TRUE(Submit(Spec("m", 1), "r3", /*no_reuse=*/true).ok());
  EXPECT_EQ(Jobs(3)[0].checkpoint_epoch, 0);
}

TEST_F(JobQueueSweepsTest, ACheckpointOfAJobThatFailedIsNotGoneOnFrom) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r1").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  v1::ReportProgressRequest report;
  report.set_token(lease.token());
  *report.add_checkpoint() = Keep("weights", "weights.safetensors");
  report.set_checkpoint_epoch(4);
  ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
  ASSERT_TRUE(Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT)).ok());
  ASSERT_TRUE(Submit(Spec("m", 1), "r2").ok());
  EXPECT_EQ(Jobs(2)[0].checkpoint_epoch, 0);
}

TEST_F(JobQueueSweepsTest, AnotherSeedIsAnotherResult) {
  ASSERT_TRUE(Submit(Spec("m", 1), "one").ok());
  const int64_t worker = Register("w");
  ASSERT_TRUE(Finish(Success(worker, Acquire(worker)[0])).ok());
  v1::SweepSpec other = Spec("m", 1);
  other.set_seed(8);
  EXPECT_EQ(Submit(other, "two")->reused(), 0);
}

TEST_F(JobQueueSweepsTest, CancellingASweepStopsWhatWaitsAndTellsWhatRuns) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  EXPECT_EQ(*queue_->Cancel(SweepId{1}, std::nullopt), 2);
  EXPECT_EQ(Jobs(1)[1].state, Job::CANCELLED);
  EXPECT_EQ(Job(lease).state, Job::RUNNING);
  EXPECT_EQ(Beat(worker, lease.token()), Answer::CANCEL);
  v1::FinishAttemptRequest finish = Failure(worker, lease);
  finish.set_outcome(Attempt::CANCELLED);
  EXPECT_EQ(Finish(finish)->job_state(), Job::CANCELLED);
  EXPECT_TRUE(Acquire(worker).empty());
}

TEST_F(JobQueueSweepsTest, ACancelledJobWhoseWorkerDiesIsCancelled) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const v1::Lease lease = Acquire(Register("w"))[0];
  ASSERT_TRUE(queue_->Cancel(SweepId{1}, std::nullopt).ok());
  clock_.Advance(options_.lease_duration);
  queue_->RunDue();
  EXPECT_EQ(Job(lease).state, Job::CANCELLED);
}

TEST_F(JobQueueSweepsTest, ARetriedJobStartsWithFreshCounters) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  ASSERT_TRUE(Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT)).ok());
  EXPECT_EQ(*queue_->Retry(SweepId{1}, std::nullopt), 1);
  const JobRow job = Job(lease);
  EXPECT_EQ(job.state, Job::PENDING);
  EXPECT_EQ(job.failed_count, 0);
  EXPECT_EQ(job.error, "");
  EXPECT_EQ(Acquire(worker)[0].spec().attempt(), 2);
}

}  // namespace
}  // namespace foldfarm
