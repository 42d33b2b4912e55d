// Workers that get no leases: drained, in quarantine, near their time limit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Job = v1::Job;
using Attempt = v1::Attempt;
using Response = v1::HeartbeatResponse;

class HoldsTest : public QueueFixture {
 protected:
  WorkerView Worker(const std::string& name) {
    for (WorkerView& view : queue_->Workers()) {
      if (view.row.name == name) return view;
    }
    ADD_FAILURE() << "no worker " << name;
    return {};
  }

  bool Quarantined(const std::string& name) {
    const WorkerView view = Worker(name);
    return view.hold.has_value() && view.hold->quarantined;
  }

  AttemptRow AttemptOf(const v1::Lease& lease) {
    AttemptRow row;
    EXPECT_TRUE(store_
                    ->Read([&](const Reader& reader) -> absl::Status {
                      auto found =
                          reader.FindAttempt(FencingToken{lease.token()});
                      if (!found.ok()) return found.status();
                      row = found->value();
                      return absl::OkStatus();
                    })
                    .ok());
    return row;
  }

  // Fails the first `jobs` jobs that `session` gets.
  std::vector<v1::Lease> FailJobs(int64_t session, int jobs) {
    std::vector<v1::Lease> failed;
    for (int i = 0; i < jobs; ++i) {
      const auto leases = Acquire(session);
      EXPECT_THAT(leases, SizeIs(1));
      if (leases.empty()) break;
      EXPECT_TRUE(Finish(Failure(session, leases[0])).ok());
      failed.push_back(leases[0]);
    }
    return failed;
  }
};

TEST_F(HoldsTest, ADrainedWorkerGivesItsJobsBackUnchargedAndGetsNoMore) {
  ASSERT_TRUE(Submit(Spec("m", 2), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  ASSERT_TRUE(queue_->DrainWorker("w", "new fans").ok());
  EXPECT_EQ(Beat(worker, lease.token()), Response::PREEMPT);
  v1::FinishAttemptRequest request = Failure(worker, lease);
  request.set_outcome(Attempt::PREEMPTED);
  request.set_next_leases(1);
  request.set_free_slots(1);
  const auto response = Finish(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_THAT(response->next_leases(), IsEmpty());
  EXPECT_EQ(Job(lease).state, Job::PENDING);
  EXPECT_EQ(Job(lease).failed_count, 0);
  EXPECT_THAT(Acquire(worker), IsEmpty());
  EXPECT_EQ(Worker("w").hold->reason, "new fans");
  ASSERT_TRUE(queue_->DrainWorker("w", "new\n\x1B[31mfans").ok());
  EXPECT_EQ(Worker("w").hold->reason, "new??[31mfans") << "reaches terminals";
  EXPECT_FALSE(Quarantined("w"));
  EXPECT_THAT(WaitingReason(Jobs(1)[0]), HasSubstr("drained"));
}

TEST_F(HoldsTest, ADrainIsOnTheNameAndLastsAcrossRestartsOfBothSides) {
  ASSERT_TRUE(Submit(Spec("m", 2), "r").ok());
  Register("w");
  ASSERT_TRUE(queue_->DrainWorker("w", "").ok());
  Restart();
  const int64_t again = Register("w");
  EXPECT_THAT(Acquire(again), IsEmpty());
  v1::HeartbeatRequest beat;
  beat.set_session(again);
  EXPECT_TRUE(Call(&JobQueue::Heartbeat, beat)->drained());
  EXPECT_THAT(Acquire(Register("other")), SizeIs(1));
  ASSERT_TRUE(queue_->UndrainWorker("w").ok());
  EXPECT_FALSE(Call(&JobQueue::Heartbeat, beat)->drained());
  EXPECT_THAT(Acquire(again), SizeIs(1));
  Restart();
  EXPECT_FALSE(Worker("w").hold.has_value());
}

TEST_F(HoldsTest, ALongReasonIsNotCutWithinACharacter) {
  Register("w");
  const std::string start(499, 'a');
  ASSERT_TRUE(queue_->DrainWorker("w", start + "\u00e9 and more").ok());
  EXPECT_EQ(Worker("w").hold->reason, start);
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t broken = Register("broken");
  v1::FinishAttemptRequest failure =
      Failure(broken, Acquire(broken)[0], v1::FAILURE_KIND_WORKER);
  failure.set_error(start + "\u00e9 and more");
  ASSERT_TRUE(Finish(failure).ok());
  EXPECT_EQ(Worker("broken").hold->reason, start);
}

TEST_F(HoldsTest, AMistypedWorkerIsNotDrained) {
  Register("gpu-1");
  const absl::Status status = queue_->DrainWorker("gpu-l", "");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("gpu-1"));
  EXPECT_EQ(queue_->UndrainWorker("x").code(), absl::StatusCode::kNotFound);
}

TEST_F(HoldsTest, AWorkerThatReportsAFaultIsPutIntoQuarantine) {
  ASSERT_TRUE(Submit(Spec("m", 2), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  v1::HeartbeatRequest beat;
  beat.set_session(worker);
  beat.add_tokens(lease.token());
  beat.set_fault("no room in /var/cache");
  const auto response = Call(&JobQueue::Heartbeat, beat);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_TRUE(response->drained());
  EXPECT_EQ(response->answers(0).action(), Response::PREEMPT);
  EXPECT_TRUE(Quarantined("w"));
  EXPECT_EQ(Worker("w").hold->reason, "no room in /var/cache");
  EXPECT_THAT(Acquire(worker), IsEmpty());
}

TEST_F(HoldsTest, AFailureByTheWorkersFaultCostsTheJobNothing) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  ASSERT_TRUE(Finish(Failure(worker, lease, v1::FAILURE_KIND_WORKER)).ok());
  EXPECT_EQ(Job(lease).state, Job::PENDING);
  EXPECT_EQ(Job(lease).failed_count, 0);
  EXPECT_EQ(Job(lease).not_before, absl::InfinitePast()) << "no backoff";
  EXPECT_EQ(AttemptOf(lease).state, Attempt::FAILED);
  EXPECT_TRUE(AttemptOf(lease).uncharged);
  EXPECT_TRUE(Quarantined("w"));
  // The job goes to another at once.
  const auto other = Acquire(Register("other"));
  ASSERT_THAT(other, SizeIs(1));
  EXPECT_EQ(other[0].spec().job(), lease.spec().job());
}

TEST_F(HoldsTest, AWorkerThatFailsWhatOthersRunWellIsPutIntoQuarantine) {
  options_.retry.max_attempts = 1;
  Restart();
  ASSERT_TRUE(Submit(Spec("m", 5), "r").ok());
  const int64_t good = Register("good");
  const int64_t bad = Register("bad");
  const v1::Lease well = Acquire(good)[0];
  ASSERT_TRUE(Finish(Success(good, well)).ok());
  const auto failed = FailJobs(bad, 2);
  EXPECT_FALSE(Quarantined("bad"));
  EXPECT_EQ(Job(failed[0]).state, Job::FAILED);
  const auto third = FailJobs(bad, 1);
  EXPECT_TRUE(Quarantined("bad"));
  EXPECT_THAT(Worker("bad").hold->reason, HasSubstr(failed[0].spec().job()));
  EXPECT_THAT(Worker("bad").hold->reason, HasSubstr("loss is nan"));
  for (const v1::Lease& lease : {failed[0], failed[1], third[0]}) {
    EXPECT_EQ(Job(lease).state, Job::PENDING) << "given up, and open again";
    EXPECT_EQ(Job(lease).failed_count, 0);
    EXPECT_EQ(Job(lease).error, "");
    EXPECT_TRUE(AttemptOf(lease).uncharged);
  }
  EXPECT_THAT(Acquire(bad), IsEmpty());
  EXPECT_FALSE(Quarantined("good"));
  EXPECT_THAT(Acquire(good, 1), SizeIs(1));
  // All of it is on disk.
  Restart();
  EXPECT_TRUE(Quarantined("bad"));
  EXPECT_EQ(Job(third[0]).failed_count, 0);
  ASSERT_TRUE(queue_->UndrainWorker("bad").ok());
  EXPECT_THAT(Acquire(Register("bad")), SizeIs(1));
}

TEST_F(HoldsTest, AWorkerThatWasOnlyCutOffIsNoLossOfTheJob) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  clock_.Advance(options_.lease_duration);
  queue_->RunDue();
  EXPECT_EQ(Job(lease).lost_count, 1);
  v1::HeartbeatRequest beat;
  beat.add_tokens(lease.token());
  // Another worker that names the attempt changes nothing.
  beat.set_session(Register("other"));
  ASSERT_TRUE(Call(&JobQueue::Heartbeat, beat).ok());
  EXPECT_EQ(Job(lease).lost_count, 1);
  beat.set_session(worker);
  for (int i = 0; i < 2; ++i) {
    const auto response = Call(&JobQueue::Heartbeat, beat);
    ASSERT_TRUE(response.ok()) << response.status();
    EXPECT_EQ(response->answers(0).action(), Response::STALE);
    EXPECT_EQ(Job(lease).lost_count, 0);
  }
  EXPECT_TRUE(AttemptOf(lease).uncharged);
  EXPECT_EQ(Job(lease).state, Job::PENDING);
}

TEST_F(HoldsTest, AJobThatWasGivenUpForItsLossesGoesOnWhenAWorkerComesBack) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  std::vector<int64_t> workers;
  std::vector<v1::Lease> leases;
  for (int i = 0; i < 3; ++i) {
    workers.push_back(Register(absl::StrCat("w", i)));
    leases.push_back(Acquire(workers.back())[0]);
    ASSERT_EQ(leases.back().spec().job(), leases[0].spec().job());
    clock_.Advance(options_.lease_duration);
    queue_->RunDue();
  }
  ASSERT_EQ(Job(leases[0]).state, Job::FAILED);
  v1::HeartbeatRequest beat;
  beat.set_session(workers[1]);
  beat.add_tokens(leases[1].token());
  ASSERT_TRUE(Call(&JobQueue::Heartbeat, beat).ok());
  EXPECT_EQ(Job(leases[0]).state, Job::PENDING);
  EXPECT_EQ(Job(leases[0]).lost_count, 2);
  EXPECT_EQ(Job(leases[0]).error, "");
  EXPECT_THAT(Acquire(workers[0]), SizeIs(1));
}

TEST_F(HoldsTest, AJobThatKeepsItsWorkersFromAnsweringIsGivenUpInTheEnd) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease first = Acquire(worker)[0];
  v1::Lease lease = first;
  int attempts = 0;
  while (lease.spec().job() == first.spec().job() && attempts < 100) {
    ++attempts;
    clock_.Advance(options_.lease_duration);
    queue_->RunDue();
    v1::HeartbeatRequest beat;
    beat.set_session(worker);
    beat.add_tokens(lease.token());
    ASSERT_TRUE(Call(&JobQueue::Heartbeat, beat).ok());
    // The job's turn again, or, once it is given up, the other fold's.
    const auto leases = Acquire(worker);
    ASSERT_THAT(leases, SizeIs(1));
    lease = leases[0];
  }
  EXPECT_EQ(Job(first).state, Job::FAILED);
  EXPECT_THAT(Job(first).error, HasSubstr("lost 3 times"));
  EXPECT_EQ(Job(first).attempt_count, attempts);
  EXPECT_GT(attempts, 20);
}

TEST_F(HoldsTest, TheOnlyWorkerOfAFarmIsNotBlamedForWhatFailsOnIt) {
  ASSERT_TRUE(Submit(Spec("m", 8), "r").ok());
  const auto failed = FailJobs(Register("w"), 8);
  EXPECT_FALSE(Worker("w").hold.has_value());
  for (const v1::Lease& lease : failed) {
    EXPECT_EQ(Job(lease).failed_count, 1);
  }
}

TEST_F(HoldsTest, AWrongConfigurationIsNoNewsAboutTheWorker) {
  ASSERT_TRUE(Submit(Spec("m", 8), "r").ok());
  const int64_t good = Register("good");
  ASSERT_TRUE(Finish(Success(good, Acquire(good)[0])).ok());
  const int64_t worker = Register("w");
  for (int i = 0; i < 5; ++i) {
    const auto leases = Acquire(worker);
    ASSERT_THAT(leases, SizeIs(1));
    ASSERT_TRUE(
        Finish(Failure(worker, leases[0], v1::FAILURE_KIND_PERMANENT)).ok());
    EXPECT_EQ(Job(leases[0]).state, Job::FAILED);
  }
  EXPECT_FALSE(Worker("w").hold.has_value());
}

TEST_F(HoldsTest, AWorkerNearItsTimeLimitGetsOnlyWhatReachesACheckpoint) {
  v1::SweepSpec spec = Spec("m", 2);
  spec.mutable_models(0)->mutable_train()->set_epochs(100);
  spec.mutable_models(0)->mutable_train()->set_checkpoint_epochs(10);
  spec.mutable_models(1)->mutable_train()->set_epochs(100);
  spec.mutable_models(1)->mutable_train()->set_checkpoint_epochs(2);
  ASSERT_TRUE(Submit(spec, "r").ok());
  // Both models take a minute an epoch; their fold 1 is left.
  const int64_t worker = Register("w", 2);
  for (const v1::Lease& lease : Acquire(worker, 2)) {
    v1::ReportProgressRequest report;
    report.set_token(lease.token());
    v1::EpochMetrics& epoch = *report.add_epochs();
    epoch.set_epoch(1);
    (*epoch.mutable_values())["seconds"] = 60;
    ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
  }
  v1::RegisterRequest request;
  request.set_name("lent");
  request.set_slots(4);
  request.set_seconds_left(5 * 60);
  const int64_t lent = Call(&JobQueue::Register, request)->session();
  const auto leases = Acquire(lent, 4);
  ASSERT_THAT(leases, SizeIs(1));
  EXPECT_EQ(leases[0].spec().job(), "s1/m1/1");
  EXPECT_GT(Worker("lent").row.stop_time, clock_.Now());
  std::optional<JobRow> left;
  ASSERT_TRUE(store_
                  ->Read([&](const Reader& reader) -> absl::Status {
                    auto row = reader.FindJob(SweepId{1}, "m0", 1);
                    if (row.ok()) left = *row;
                    return row.status();
                  })
                  .ok());
  ASSERT_TRUE(left.has_value());
  EXPECT_THAT(WaitingReason(*left), HasSubstr("worker lent stops at "));
  // It is not lost to others.
  const auto rest = Acquire(Register("other", 4), 4);
  ASSERT_THAT(rest, SizeIs(1));
  EXPECT_EQ(rest[0].spec().job(), "s1/m0/1");
}

TEST_F(HoldsTest, ATimeLimitMindsTheOptionsThatAJobWasRetriedWith) {
  v1::SweepSpec spec = Spec("m", 1);
  spec.mutable_models(0)->mutable_train()->set_epochs(100);
  spec.mutable_models(0)->mutable_train()->set_checkpoint_epochs(10);
  ASSERT_TRUE(Submit(spec, "r").ok());
  const int64_t worker = Register("w", 2);
  const auto leases = Acquire(worker, 2);
  ASSERT_THAT(leases, SizeIs(2));
  v1::ReportProgressRequest report;
  report.set_token(leases[0].token());
  v1::EpochMetrics& epoch = *report.add_epochs();
  epoch.set_epoch(1);
  (*epoch.mutable_values())["seconds"] = 60;
  ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
  ASSERT_TRUE(
      Finish(Failure(worker, leases[0], v1::FAILURE_KIND_PERMANENT)).ok());
  RetryWish wish;
  ASSERT_TRUE(queue_->Retry(SweepId{1}, Job(leases[0]).id, wish).ok());
  v1::RegisterRequest request;
  request.set_name("lent");
  request.set_slots(1);
  request.set_seconds_left(5 * 60);
  const int64_t lent = Call(&JobQueue::Register, request)->session();
  EXPECT_THAT(Acquire(lent), IsEmpty());
  ASSERT_TRUE(queue_->Cancel(SweepId{1}, Job(leases[0]).id).ok());
  wish.overrides = {"train.checkpoint_epochs=2"};
  ASSERT_TRUE(queue_->Retry(SweepId{1}, Job(leases[0]).id, wish).ok());
  EXPECT_THAT(Acquire(lent), SizeIs(1));
}

TEST_F(HoldsTest, WhatAnAttemptUsedIsKeptWithIt) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w", 2);
  const auto leases = Acquire(worker, 2);
  ASSERT_THAT(leases, SizeIs(2));
  const auto beat = [&](double cpu_seconds) {
    v1::HeartbeatRequest request;
    request.set_session(worker);
    for (const v1::Lease& lease : leases) {
      request.add_tokens(lease.token());
      v1::AttemptUsage& usage = *request.add_usage();
      usage.set_token(lease.token());
      usage.set_memory_bytes(100);
      usage.set_peak_memory_bytes(300);
      usage.set_cpu_seconds(cpu_seconds);
    }
    ASSERT_TRUE(Call(&JobQueue::Heartbeat, request).ok());
  };
  beat(5);
  clock_.Advance(absl::Seconds(10));
  beat(20);
  const auto lease = queue_->FindLease(FencingToken{leases[0].token()});
  EXPECT_EQ(lease->usage.memory_bytes(), 100);
  EXPECT_DOUBLE_EQ(lease->cpus, 1.5);
  v1::FinishAttemptRequest request = Success(worker, leases[0]);
  request.mutable_usage()->set_peak_memory_bytes(500);
  request.mutable_usage()->set_cpu_seconds(21);
  ASSERT_TRUE(Finish(request).ok());
  EXPECT_EQ(AttemptOf(leases[0]).peak_memory_bytes, 500);
  EXPECT_DOUBLE_EQ(AttemptOf(leases[0]).cpu_seconds, 21);
  // Of one that is lost: what was heard last.
  clock_.Advance(options_.lease_duration + absl::Seconds(1));
  queue_->RunDue();
  EXPECT_EQ(AttemptOf(leases[1]).state, Attempt::LOST);
  EXPECT_EQ(AttemptOf(leases[1]).peak_memory_bytes, 300);
  EXPECT_DOUBLE_EQ(AttemptOf(leases[1]).cpu_seconds, 20);
}

}  // namespace
}  // namespace foldfarm
