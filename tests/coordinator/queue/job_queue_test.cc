#include "coordinator/queue/job_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Job = v1::Job;
using Attempt = v1::Attempt;
using Answer = v1::HeartbeatResponse;

using JobQueueTest = QueueFixture;

TEST_F(JobQueueTest, ALeaseSaysAllThatATrainerNeeds) {
  v1::SweepSpec spec = Spec("m", 2);
  spec.set_tta(3);
  ASSERT_TRUE(Submit(spec, "r").ok());
  const auto leases = Acquire(Register("w"));
  ASSERT_EQ(leases.size(), 1u);
  const v1::AttemptSpec& job = leases[0].spec();
  EXPECT_EQ(job.job(), "s1/m0/0");
  EXPECT_EQ(job.model().name(), "m0");
  EXPECT_EQ(job.fold(), 0);
  EXPECT_EQ(job.tta(), 3);
  EXPECT_EQ(job.attempt(), 1);
  EXPECT_EQ(job.seed(), DeriveSeed(7, "m0", 0));
  EXPECT_EQ(job.train_samples_size(), 6);
  EXPECT_EQ(job.validation_samples_size(), 6);
  EXPECT_EQ(leases[0].dataset().digest(), dataset_.digest());
  EXPECT_EQ(leases[0].checkpoint_size(), 0);
}

TEST_F(JobQueueTest, FoldMajorTrainsFoldZeroOfAllModelsFirst) {
  ASSERT_TRUE(Submit(Spec("m", 2), "r").ok());
  std::vector<std::string> order;
  for (const v1::Lease& lease : Acquire(Register("w", 4), 4)) {
    order.push_back(lease.spec().job());
  }
  EXPECT_THAT(order,
              testing::ElementsAre("s1/m0/0", "s1/m1/0", "s1/m0/1", "s1/m1/1"));
}

TEST_F(JobQueueTest, ModelMajorFinishesAModelsFoldsFirst) {
  v1::SweepSpec spec = Spec("m", 2);
  spec.set_order(v1::JOB_ORDER_MODEL_MAJOR);
  ASSERT_TRUE(Submit(spec, "r").ok());
  std::vector<std::string> order;
  for (const v1::Lease& lease : Acquire(Register("w", 4), 4)) {
    order.push_back(lease.spec().job());
  }
  EXPECT_THAT(order,
              testing::ElementsAre("s1/m0/0", "s1/m0/1", "s1/m1/0", "s1/m1/1"));
}

TEST_F(JobQueueTest, AFinishedJobSucceedsAndBringsTheNextLease) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  v1::FinishAttemptRequest request = Success(worker, lease);
  request.set_next_leases(1);
  request.set_free_slots(1);
  const auto response = Finish(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->job_state(), Job::SUCCEEDED);
  ASSERT_EQ(response->next_leases_size(), 1);
  EXPECT_EQ(response->next_leases(0).spec().job(), "s1/m0/1");
  EXPECT_GT(response->next_leases(0).token(), lease.token());
  const JobRow job = Job(lease);
  EXPECT_EQ(job.state, Job::SUCCEEDED);
  EXPECT_EQ(job.log_loss, 0.5);
}

TEST_F(JobQueueTest, FinishingTwiceAnswersAsTheFirstDid) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  v1::FinishAttemptRequest request = Success(worker, Acquire(worker)[0]);
  request.set_next_leases(1);
  request.set_free_slots(1);
  const auto first = Finish(request);
  const auto second = Finish(request);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->job_state(), Job::SUCCEEDED);
  ASSERT_EQ(second->next_leases_size(), 1);
  EXPECT_EQ(second->next_leases(0).token(), first->next_leases(0).token());
  EXPECT_EQ(second->next_leases(0).spec().job(),
            first->next_leases(0).spec().job());
}

TEST_F(JobQueueTest, AStaleTokenCannotFinishAnAttempt) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t one = Register("gpu-1");
  const v1::Lease lost = Acquire(one, 1)[0];
  v1::FinishAttemptRequest late = Success(one, lost);
  clock_.Advance(options_.lease_duration + absl::Seconds(1));
  const int64_t two = Register("gpu-2", 2);
  const auto held = Acquire(two, 2);
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0].spec().job(), lost.spec().job());
  EXPECT_GT(held[0].token(), lost.token());
  EXPECT_EQ(Finish(late).status().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Job(held[0]).state, Job::RUNNING);
  EXPECT_TRUE(Finish(Success(two, held[0])).ok());
}

TEST_F(JobQueueTest, AStaleTokenCannotReportProgress) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lost = Acquire(worker)[0];
  clock_.Advance(options_.lease_duration + absl::Seconds(1));
  queue_->RunDue();
  v1::ReportProgressRequest report;
  report.set_token(lost.token());
  report.add_epochs()->set_epoch(5);
  EXPECT_EQ(Call(&JobQueue::ReportProgress, report).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(Jobs(1)[0].epoch, 0);
}

TEST_F(JobQueueTest, HeartbeatsKeepALease) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  for (int i = 0; i < 10; ++i) {
    clock_.Advance(options_.heartbeat_interval);
    EXPECT_EQ(Beat(worker, lease.token()), Answer::CONTINUE);
  }
  EXPECT_EQ(Job(lease).state, Job::RUNNING);
}

TEST_F(JobQueueTest, ASilentWorkersJobGoesToAnother) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  clock_.Advance(options_.lease_duration - absl::Seconds(1));
  queue_->RunDue();
  EXPECT_EQ(Job(lease).state, Job::RUNNING);
  clock_.Advance(absl::Seconds(1));
  queue_->RunDue();
  const JobRow job = Job(lease);
  EXPECT_EQ(job.state, Job::PENDING);
  EXPECT_EQ(job.lost_count, 1);
  EXPECT_THAT(job.error, HasSubstr("worker w was not heard of for 30s"));
  EXPECT_EQ(Beat(worker, lease.token()), Answer::STALE);
}

TEST_F(JobQueueTest, TheTimerExpiresALeaseWhenNobodyCalls) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const v1::Lease lease = Acquire(Register("w"))[0];
  // Once the lease's own change is seen, the next change is the expiry's.
  const int64_t seen = queue_->WaitForChange(0, absl::ZeroDuration());
  clock_.Advance(options_.lease_duration);
  queue_->WaitForChange(seen, absl::InfiniteDuration());
  EXPECT_EQ(Job(lease).state, Job::PENDING);
}

TEST_F(JobQueueTest, ThreeLostAttemptsFailAJob) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  v1::Lease lease;
  for (int i = 0; i < 3; ++i) {
    lease = Acquire(Register("w"))[0];
    EXPECT_EQ(lease.spec().job(), "s1/m0/0");
    clock_.Advance(options_.lease_duration);
    queue_->RunDue();
  }
  const JobRow job = Job(lease);
  EXPECT_EQ(job.state, Job::FAILED);
  EXPECT_EQ(job.lost_count, 3);
  EXPECT_THAT(job.error, HasSubstr("lost 3 times"));
}

TEST_F(JobQueueTest, AFailedAttemptIsTriedAgainAfterABackoff) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w", 2);
  const v1::Lease lease = Acquire(worker, 2, 1)[0];
  const auto response = Finish(Failure(worker, lease));
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->job_state(), Job::PENDING);
  EXPECT_GT(Job(lease).not_before, clock_.Now());
  EXPECT_EQ(Acquire(worker, 2)[0].spec().job(), "s1/m0/1");
  EXPECT_TRUE(Acquire(worker, 1).empty());
  clock_.Advance(absl::Seconds(5.5));
  const auto again = Acquire(worker, 1);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].spec().job(), "s1/m0/0");
  EXPECT_EQ(again[0].spec().attempt(), 2);
  EXPECT_EQ(again[0].spec().seed(), lease.spec().seed());
}

TEST_F(JobQueueTest, ThreeFailedAttemptsFailAJob) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  v1::Lease lease;
  for (int i = 0; i < 3; ++i) {
    lease = Acquire(worker)[0];
    ASSERT_EQ(lease.spec().job(), "s1/m0/0");
    ASSERT_TRUE(Finish(Failure(worker, lease)).ok());
    clock_.Advance(absl::Seconds(20));
  }
  const JobRow job = Job(lease);
  EXPECT_EQ(job.state, Job::FAILED);
  EXPECT_EQ(job.error, "failed 3 times, last: loss is nan");
}

TEST_F(JobQueueTest, AWrongConfigurationFailsAtOnce) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  const auto response =
      Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT));
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->job_state(), Job::FAILED);
}

TEST_F(JobQueueTest, AJobThatRanOutOfMemoryIsTriedWithTwiceTheSlots) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w", 2);
  const v1::Lease lease = Acquire(worker, 2, 1)[0];
  ASSERT_TRUE(
      Finish(Failure(worker, lease, v1::FAILURE_KIND_OUT_OF_MEMORY)).ok());
  EXPECT_EQ(Job(lease).slots, 2);
  clock_.Advance(absl::Seconds(6));
  EXPECT_EQ(Acquire(worker, 1)[0].spec().job(), "s1/m0/1");
  const auto again = Acquire(worker, 2);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].slots(), 2);
}

TEST_F(JobQueueTest, APreemptedAttemptResumesFromItsCheckpointUncharged) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  v1::ReportProgressRequest report;
  report.set_token(lease.token());
  report.set_started(true);
  report.set_device("cpu");
  *report.add_checkpoint() = Keep("weights", "weights.safetensors");
  *report.add_checkpoint() = Keep("state", "state.safetensors");
  report.set_checkpoint_epoch(4);
  ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
  v1::FinishAttemptRequest preempted = Failure(worker, lease);
  preempted.set_outcome(Attempt::PREEMPTED);
  ASSERT_TRUE(Finish(preempted).ok());
  const v1::Lease again = Acquire(worker)[0];
  EXPECT_EQ(again.spec().job(), lease.spec().job());
  EXPECT_EQ(again.checkpoint_epoch(), 4);
  ASSERT_EQ(again.checkpoint_size(), 2);
  EXPECT_EQ(again.checkpoint(0).name(), "state.safetensors");
  EXPECT_EQ(Job(again).failed_count, 0);
  EXPECT_EQ(Job(again).lost_count, 0);
}

TEST_F(JobQueueTest, OnlyTheNewestCheckpointKeepsItsFiles) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  std::vector<std::string> digests;
  for (int epoch = 1; epoch <= 2; ++epoch) {
    v1::ReportProgressRequest report;
    report.set_token(lease.token());
    report.set_checkpoint_epoch(epoch);
    *report.add_checkpoint() =
        Keep(absl::StrCat("state ", epoch), "state.safetensors");
    digests.push_back(report.checkpoint(0).digest());
    ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
  }
  EXPECT_FALSE(files_->GetStat(digests[0])->complete);
  EXPECT_TRUE(files_->GetStat(digests[1])->complete);
  ASSERT_TRUE(Finish(Success(worker, lease)).ok());
  EXPECT_FALSE(files_->GetStat(digests[1])->complete);
}

TEST_F(JobQueueTest, ACheckpointThatIsNotStoredIsRefused) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  v1::ReportProgressRequest report;
  report.set_token(Acquire(Register("w"))[0].token());
  v1::ArtifactRef& ref = *report.add_checkpoint();
  ref.set_name("state.safetensors");
  ref.set_digest(Sha256Hex("never uploaded"));
  EXPECT_EQ(Call(&JobQueue::ReportProgress, report).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(JobQueueTest, RepeatedEpochsAndLinesAreStoredOnce) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const v1::Lease lease = Acquire(Register("w"))[0];
  v1::ReportProgressRequest report;
  report.set_token(lease.token());
  for (int epoch = 1; epoch <= 3; ++epoch) {
    v1::EpochMetrics& metrics = *report.add_epochs();
    metrics.set_epoch(epoch);
    (*metrics.mutable_values())["log_loss"] = 1.0 / epoch;
    (*metrics.mutable_values())["seconds"] = 2.0;
    v1::LogLine& line = *report.add_lines();
    line.set_sequence(epoch);
    line.set_text(absl::StrCat("epoch ", epoch));
  }
  ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
  ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
  const JobRow job = Job(lease);
  EXPECT_EQ(job.epoch, 3);
  EXPECT_DOUBLE_EQ(*job.log_loss, 1.0 / 3);
  EXPECT_DOUBLE_EQ(job.seconds_per_epoch, 2.0);
  ASSERT_TRUE(store_
                  ->Read([&](const Reader& reader) -> absl::Status {
                    EXPECT_EQ(reader.ListMetrics(job.id)->size(), 3u);
                    EXPECT_EQ(
                        reader.ListLog(job.id, FencingToken{}, 0, 100)->size(),
                        3u);
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(JobQueueTest, ARestartedCoordinatorGivesRunningLeasesOneMoreTerm) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  Close();
  clock_.Advance(absl::Hours(1));
  Open();
  queue_->RunDue();
  EXPECT_EQ(Job(lease).state, Job::RUNNING);
  clock_.Advance(options_.lease_duration - absl::Seconds(1));
  EXPECT_EQ(Beat(worker, lease.token()), Answer::CONTINUE);
  clock_.Advance(absl::Seconds(10));
  EXPECT_TRUE(Finish(Success(worker, lease)).ok());
}

TEST_F(JobQueueTest, TokensGrowAcrossRestarts) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const v1::Lease before = Acquire(Register("w"))[0];
  Restart();
  const v1::Lease after = Acquire(Register("w"))[0];
  EXPECT_GT(after.token(), before.token());
}

TEST_F(JobQueueTest, ARestartedWorkersLeasesAreReleasedUncharged) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w", 2);
  const auto leases = Acquire(worker, 2);
  ASSERT_EQ(leases.size(), 2u);
  v1::RegisterRequest request;
  request.set_name("w");
  request.set_slots(2);
  request.add_held_tokens(leases[0].token());
  request.add_held_tokens(987654);
  const auto again = Call(&JobQueue::Register, request);
  ASSERT_TRUE(again.ok());
  EXPECT_THAT(again->stale_tokens(), testing::ElementsAre(987654));
  EXPECT_EQ(Beat(again->session(), leases[0].token()), Answer::CONTINUE);
  const JobRow released = Job(leases[1]);
  EXPECT_EQ(released.state, Job::PENDING);
  EXPECT_EQ(released.lost_count, 0);
  EXPECT_EQ(released.failed_count, 0);
}

TEST_F(JobQueueTest, AFormerSessionIsToldToRegisterAgain) {
  const int64_t former = Register("w");
  Register("w");
  v1::HeartbeatRequest request;
  request.set_session(former);
  EXPECT_EQ(Call(&JobQueue::Heartbeat, request).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(JobQueueTest, ALeaseThatNeverReachedItsWorkerIsReleased) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  clock_.Advance(options_.heartbeat_interval + absl::Seconds(1));
  v1::HeartbeatRequest request;
  request.set_session(worker);
  ASSERT_TRUE(Call(&JobQueue::Heartbeat, request).ok());
  EXPECT_EQ(Job(lease).state, Job::PENDING);
  EXPECT_EQ(Job(lease).lost_count, 0);
}

}  // namespace
}  // namespace foldfarm
