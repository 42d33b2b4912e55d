// Jobs that are tried again, with the options they had or with others.
#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Job = v1::Job;

class JobQueueRetryTest : public QueueFixture {
 protected:
  // The job that is next leaves a checkpoint of `epoch` and fails for good.
  v1::Lease FailBehind(int64_t worker, int epoch) {
    const v1::Lease lease = Acquire(worker)[0];
    v1::ReportProgressRequest report;
    report.set_token(lease.token());
    report.set_checkpoint_epoch(epoch);
    *report.add_checkpoint() =
        Keep(absl::StrCat("state ", epoch), "state.safetensors");
    EXPECT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
    EXPECT_TRUE(
        Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT)).ok());
    return lease;
  }

  // A job that failed behind epoch 5 is retried for 8 epochs and succeeds.
  // Returns its last lease.
  v1::Lease SucceedOtherwise(bool from_scratch) {
    EXPECT_TRUE(Submit(Spec("m", 1), "r").ok());
    const int64_t worker = Register("w");
    const JobRow before = Job(FailBehind(worker, 5));
    RetryWish wish;
    wish.overrides = {"train.epochs=8"};
    wish.from_scratch = from_scratch;
    EXPECT_EQ(*queue_->Retry(SweepId{1}, before.id, wish), 1);
    v1::Lease lease = Acquire(worker)[0];
    EXPECT_EQ(lease.spec().job(), "s1/m0/0");
    EXPECT_TRUE(Finish(Success(worker, lease)).ok());
    return lease;
  }

  // How many jobs of s1's model, trained for `epochs`, are there already.
  int Reused(int epochs) {
    v1::SweepSpec spec = Spec("m", 1);
    spec.mutable_models(0)->mutable_train()->set_epochs(epochs);
    const auto submitted = Submit(spec, absl::StrCat("clean ", epochs));
    EXPECT_TRUE(submitted.ok()) << submitted.status();
    return submitted.ok() ? submitted->reused() : -1;
  }
};

TEST_F(JobQueueRetryTest, ARetriedJobTakesOtherOptionsAndAnotherKey) {
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

TEST_F(JobQueueRetryTest, OptionsOfARetryHoldInEveryStage) {
  v1::SweepSpec spec = Spec("m", 1);
  v1::ModelSpec& model = *spec.mutable_models(0);
  model.mutable_arch()->mutable_rnn()->set_hidden(8);
  for (const int epochs : {4, 6}) {
    v1::TrainSpec& train = *model.add_stages()->mutable_train();
    train.set_epochs(epochs);
    train.set_batch(8);
  }
  ASSERT_TRUE(Submit(spec, "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  ASSERT_TRUE(Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT)).ok());
  RetryWish wish;
  wish.overrides = {"train.batch=4"};
  ASSERT_EQ(*queue_->Retry(SweepId{1}, Job(lease).id, wish), 1);
  const v1::Lease again = Acquire(worker)[0];
  ASSERT_EQ(again.spec().job(), lease.spec().job());
  ASSERT_THAT(again.spec().model().stages(), SizeIs(2));
  for (const v1::StageSpec& stage : again.spec().model().stages()) {
    EXPECT_EQ(stage.train().batch(), 4);
  }
  EXPECT_EQ(again.spec().model().stages(0).train().epochs(), 4);
}

TEST_F(JobQueueRetryTest, SlotsStayUnlessARetryChangesThem) {
  v1::SweepSpec spec = Spec("m", 1);
  spec.mutable_models(0)->set_slots(1);  // As every expanded one has.
  ASSERT_TRUE(Submit(spec, "r").ok());
  const int64_t worker = Register("w", 4);
  const v1::Lease lease = Acquire(worker)[0];
  const auto slots_after = [&](const RetryWish& wish, const v1::Lease& last) {
    EXPECT_TRUE(Finish(Failure(worker, last, v1::FAILURE_KIND_PERMANENT)).ok());
    EXPECT_EQ(*queue_->Retry(SweepId{1}, Job(lease).id, wish), 1);
    const std::vector<v1::Lease> next = Acquire(worker, 4, 1);
    EXPECT_THAT(next, SizeIs(1));
    EXPECT_EQ(next[0].spec().job(), lease.spec().job());
    return next[0];
  };
  RetryWish wish;
  wish.slots = 2;
  v1::Lease next = slots_after(wish, lease);
  EXPECT_EQ(next.slots(), 2);
  wish = RetryWish();
  wish.overrides = {"train.epochs=5"};
  next = slots_after(wish, next);
  EXPECT_EQ(next.slots(), 2);
  wish.overrides = {"slots=3"};
  next = slots_after(wish, next);
  EXPECT_EQ(next.slots(), 3);
  wish = RetryWish();
  wish.slots = 65;
  EXPECT_FALSE(queue_->Retry(SweepId{1}, Job(lease).id, wish).ok());
}

TEST_F(JobQueueRetryTest, SweepsThatEndedLongAgoAreTriedAgainAsTheyWere) {
  // More than are kept in memory.
  const int64_t worker = Register("w", 2);
  v1::Lease first;
  for (int i = 1; i <= 260; ++i) {
    v1::SweepSpec spec = Spec("m", 1);
    spec.set_seed(static_cast<uint32_t>(i));
    ASSERT_TRUE(Submit(spec, absl::StrCat("r", i)).ok());
    for (const v1::Lease& lease : Acquire(worker, 2)) {
      if (i == 1) first = lease;
      ASSERT_TRUE(
          Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT)).ok());
    }
  }
  ASSERT_TRUE(queue_->SetPriority(SweepId{1}, 5).ok());
  ASSERT_EQ(*queue_->Retry(SweepId{260}, std::nullopt, RetryWish()), 2);
  ASSERT_EQ(*queue_->Retry(SweepId{1}, Job(first).id, RetryWish()), 1);
  const v1::Lease again = Acquire(worker)[0];
  EXPECT_EQ(again.spec().job(), first.spec().job());
  EXPECT_EQ(again.spec().seed(), first.spec().seed());
  EXPECT_EQ(again.dataset().digest(), first.dataset().digest());
}

TEST_F(JobQueueRetryTest, WhatIsTrainedAnewLeavesNoFormerEpochsBehind) {
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

TEST_F(JobQueueRetryTest, AnOptionThatIsNoneIsRefusedAndNothingChanges) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  ASSERT_TRUE(Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT)).ok());
  for (const auto& [set, message] :
       {std::pair("train.batchh=4", "did you mean"),
        std::pair("tta=4", "changes the whole sweep"),
        std::pair("train.batch=-1", "-1"),
        std::pair("labels=[oxalate]", "keeps its architecture"),
        std::pair("representation.min_clip=0.2", "all folds of a model"),
        std::pair("augment.mz_var=0.25", "what it is fed"),
        std::pair("init.weights=other", "keeps its init"),
        std::pair("stages=[{train: {epochs: 3}}]", "keeps its stages")}) {
    RetryWish wish;
    wish.overrides = {set};
    const absl::Status status =
        queue_->Retry(SweepId{1}, Job(lease).id, wish).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
    EXPECT_EQ(Job(lease).state, Job::FAILED);
  }
}

TEST_F(JobQueueRetryTest, ARefusedOptionLeavesNothingToUndo) {
  v1::SweepSpec spec = Spec("m", 2);
  spec.mutable_models(1)->mutable_arch()->mutable_rnn()->set_hidden(8);
  ASSERT_TRUE(Submit(spec, "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease runs = Acquire(worker)[0];
  for (const JobRow& job : Jobs(1)) {
    if (job.state != Job::PENDING) continue;
    ASSERT_TRUE(queue_->Cancel(SweepId{1}, job.id).ok());
  }
  v1::HeartbeatRequest beat;
  beat.set_session(worker);
  beat.add_tokens(runs.token());
  beat.add_usage()->set_token(runs.token());
  ASSERT_TRUE(Call(&JobQueue::Heartbeat, beat).ok());
  const FencingToken token{runs.token()};
  const absl::Time told = queue_->FindLease(token)->usage_time;
  ASSERT_NE(told, absl::InfinitePast());
  // No option of any model, and one of the second alone.
  for (const char* set : {"train.batchh=4", "arch.rnn.hidden=16"}) {
    RetryWish wish;
    wish.overrides = {set};
    EXPECT_FALSE(queue_->Retry(SweepId{1}, std::nullopt, wish).ok()) << set;
    // It would be gone, had the queue been read again.
    EXPECT_EQ(queue_->FindLease(token)->usage_time, told) << set;
  }
}

TEST_F(JobQueueRetryTest, WhatWasResumedWithOtherOptionsIsReusedForNone) {
  EXPECT_EQ(SucceedOtherwise(/*from_scratch=*/false).checkpoint_epoch(), 5);
  EXPECT_EQ(Reused(8), 0);
}

TEST_F(JobQueueRetryTest, WhatIsTrainedAnewWithOtherOptionsIsReused) {
  EXPECT_EQ(SucceedOtherwise(/*from_scratch=*/true).checkpoint_epoch(), 0);
  EXPECT_EQ(Reused(8), 1);
}

TEST_F(JobQueueRetryTest, FurtherRetriesDoNotForgetHowItBegan) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const JobRow before = Job(FailBehind(worker, 5));
  const auto key_with = [&](std::vector<std::string> overrides,
                            bool from_scratch = false) {
    RetryWish wish;
    wish.overrides = std::move(overrides);
    wish.from_scratch = from_scratch;
    EXPECT_TRUE(queue_->Retry(SweepId{1}, before.id, wish).ok());
    const v1::Lease lease = FailBehind(worker, 6);
    EXPECT_EQ(lease.spec().job(), "s1/m0/0");
    return Job(lease).result_key;
  };
  const std::string resumed = key_with({"train.epochs=8"});
  EXPECT_NE(resumed, before.result_key);
  EXPECT_EQ(key_with({"train.epochs=8"}), resumed) << "nothing has changed";
  EXPECT_EQ(key_with({}), resumed);
  // Back to what it had first, but not with the same weights.
  const std::string back = key_with({"train.epochs=10"});
  EXPECT_NE(back, resumed);
  EXPECT_NE(back, before.result_key);
  EXPECT_EQ(key_with({}, /*from_scratch=*/true), before.result_key);
}

TEST_F(JobQueueRetryTest, FewerEpochsThanTheCheckpointHasAreRefused) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const JobRow before = Job(FailBehind(worker, 5));
  RetryWish wish;
  wish.overrides = {"train.epochs=4"};
  for (const std::optional<JobId>& job :
       {std::optional<JobId>(before.id), std::optional<JobId>()}) {
    const absl::Status status = queue_->Retry(SweepId{1}, job, wish).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(std::string(status.message()),
              "s1/m0/0: its checkpoint is of epoch 5, train.epochs is 4; "
              "expected at least 5, or say --from-scratch");
    EXPECT_EQ(Jobs(1)[0].state, Job::FAILED);
  }
  // Nothing is left to train, which is no mistake.
  wish.overrides = {"train.epochs=5"};
  EXPECT_EQ(*queue_->Retry(SweepId{1}, before.id, wish), 1);
  EXPECT_EQ(FailBehind(worker, 5).spec().job(), "s1/m0/0");
  wish.overrides = {"train.epochs=4"};
  wish.from_scratch = true;
  EXPECT_EQ(*queue_->Retry(SweepId{1}, before.id, wish), 1);
}

TEST_F(JobQueueRetryTest, OnlyAJobThatIsOverIsRetried) {
  ASSERT_TRUE(Submit(Spec("m", 1), "r").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  const absl::Status running =
      queue_->Retry(SweepId{1}, Job(lease).id).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(running));
  EXPECT_THAT(std::string(running.message()), HasSubstr("is RUNNING"));
}

}  // namespace
}  // namespace foldfarm
