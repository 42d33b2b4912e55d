// Sweeps that train on from the checkpoints of a finished one.
#include <string>
#include <vector>

#include "coordinator/queue/model_key.h"
#include "coordinator/store/garbage.h"
#include "tests/coordinator/queue/extend_fixture.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class JobQueueExtendTest : public ExtendFixture {};

TEST_F(JobQueueExtendTest, JobsBeginWhereThoseOfTheSourceEnded) {
  TrainSource();
  const auto submitted = Submit(Extended(), "longer");
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  EXPECT_EQ(submitted->reused(), 0);
  for (const JobRow& job : Jobs(2)) {
    EXPECT_EQ(job.epoch, 10);
    EXPECT_EQ(job.epochs, 20);
  }
  // Also after a restart.
  Restart();
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  EXPECT_EQ(lease.spec().job(), "s2/m0/0");
  EXPECT_EQ(lease.spec().model().train().epochs(), 20);
  EXPECT_EQ(lease.checkpoint_epoch(), 10);
  ASSERT_THAT(lease.checkpoint(), SizeIs(2));
  EXPECT_EQ(lease.checkpoint(0).digest(),
            Sha256Hex("state.safetensors s1/m0/0 10"));

  // Its epochs begin behind those of the source.
  v1::ReportProgressRequest report;
  report.set_token(lease.token());
  report.set_started(true);
  report.set_device("cpu");
  report.set_resumed_epoch(10);
  for (const int epoch : {10, 11}) {
    v1::EpochMetrics& metrics = *report.add_epochs();
    metrics.set_epoch(epoch);
    (*metrics.mutable_values())["seconds"] = 2.0;
  }
  ASSERT_TRUE(Call(&JobQueue::ReportProgress, report).ok());
  EXPECT_EQ(Job(lease).epoch, 11);
  EXPECT_DOUBLE_EQ(Job(lease).seconds_per_epoch, 2.0);
  ASSERT_TRUE(store_
                  ->Read([&](const Reader& reader) -> absl::Status {
                    auto metrics = reader.ListMetrics(Job(lease).id);
                    if (!metrics.ok()) return metrics.status();
                    EXPECT_THAT(*metrics, SizeIs(1));
                    EXPECT_EQ(metrics->front().epoch(), 11);
                    return absl::OkStatus();
                  })
                  .ok());
}

TEST_F(JobQueueExtendTest, AnExtensionIsExtendedAndLeavesItsSourceAlone) {
  TrainSource();
  ASSERT_TRUE(Submit(Extended("s1", 20), "second").ok());
  TrainAll(20);
  ASSERT_TRUE(Submit(Extended("s2", 30), "third").ok());
  const std::vector<v1::Lease> leases = TrainAll(30);
  ASSERT_THAT(leases, SizeIs(4));
  EXPECT_EQ(leases[0].checkpoint_epoch(), 20);
  for (const int epoch : {10, 20, 30}) {
    const std::string digest = Sha256Hex(
        absl::StrCat("state.safetensors s", epoch / 10, "/m0/0 ", epoch));
    EXPECT_TRUE(files_->GetStat(digest)->complete) << epoch;
  }
}

TEST_F(JobQueueExtendTest, TheSameExtensionIsReusedAndNoOtherTrainingIs) {
  TrainSource();
  ASSERT_TRUE(Submit(Extended(), "second").ok());
  TrainAll(20);
  // Trained as long, but from scratch.
  v1::SweepSpec scratch = Extended();
  scratch.clear_extends();
  EXPECT_EQ(Submit(scratch, "scratch")->reused(), 0);
  EXPECT_EQ(*queue_->Cancel(SweepId{3}, std::nullopt), 4);
  EXPECT_EQ(Submit(Extended(), "again")->reused(), 4);
  // A result that was taken over is as good to train on from.
  EXPECT_EQ(Submit(Extended("s4", 30), "third")->reused(), 0);
  EXPECT_EQ(Acquire(Register("w"))[0].checkpoint_epoch(), 20);
  // The id says which; the request is the same.
  EXPECT_EQ(Submit(Extended(), "second")->sweep(), "s2");
}

TEST_F(JobQueueExtendTest, TheCheckpointOfASuccessIsKeptOnlyIfItsModelSaysSo) {
  v1::SweepSpec spec = Source();
  spec.mutable_models(0)->mutable_train()->set_keep_checkpoint(true);
  spec.mutable_models(1)->mutable_train()->set_keep_checkpoint(false);
  ASSERT_TRUE(Submit(spec, "source").ok());
  for (const v1::Lease& lease : TrainAll(10)) {
    const bool keeps = lease.spec().model().name() == "m0";
    EXPECT_EQ(Job(lease).checkpoint_epoch, keeps ? 10 : 0);
    const std::string digest = Sha256Hex(
        absl::StrCat("state.safetensors ", lease.spec().job(), " 10"));
    EXPECT_EQ(files_->GetStat(digest)->complete, keeps);
    // Also when garbage is collected.
    const auto garbage = CollectGarbage(
        *store_, *files_, absl::InfiniteFuture(), {.min_age = {}});
    ASSERT_TRUE(garbage.ok()) << garbage.status();
    EXPECT_EQ(files_->GetStat(digest)->complete, keeps);
  }
  const absl::Status status = Refusal(Extended());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr("model m1"), HasSubstr("s1/m1/0"),
            HasSubstr("no stored checkpoint"), HasSubstr("keep_checkpoint")));
  v1::SweepSpec one = Extended();
  one.mutable_models()->RemoveLast();
  EXPECT_TRUE(Submit(one, "one").ok());
}

TEST_F(JobQueueExtendTest, OfStagesTheLastOneDecidesWhatIsKept) {
  v1::SweepSpec spec = Source();
  v1::ModelSpec& model = *spec.mutable_models(0);
  model.add_stages()->mutable_train()->set_keep_checkpoint(true);
  model.add_stages()->mutable_train()->set_keep_checkpoint(false);
  ASSERT_TRUE(Submit(spec, "source").ok());
  for (const v1::Lease& lease : TrainAll(10)) {
    EXPECT_EQ(Job(lease).checkpoint_epoch,
              lease.spec().model().name() == "m0" ? 0 : 10);
  }
}

TEST_F(JobQueueExtendTest, WhatIsGivenFromScratchBeginsAtTheSourceAgain) {
  TrainSource();
  ASSERT_TRUE(Submit(Extended(), "longer").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  Checkpoint(lease, 15);
  ASSERT_TRUE(Finish(Failure(worker, lease, v1::FAILURE_KIND_PERMANENT)).ok());
  EXPECT_EQ(Job(lease).checkpoint_epoch, 15);
  const std::string key = Job(lease).result_key;
  RetryWish wish;
  wish.from_scratch = true;
  ASSERT_EQ(*queue_->Retry(SweepId{2}, Job(lease).id, wish), 1);
  EXPECT_EQ(Job(lease).epoch, 10);
  EXPECT_EQ(Job(lease).result_key, key);
  EXPECT_FALSE(
      files_->GetStat(Sha256Hex("state.safetensors s2/m0/0 15"))->complete);
  const v1::Lease again = Acquire(worker)[0];
  EXPECT_EQ(again.spec().job(), "s2/m0/0");
  EXPECT_EQ(again.checkpoint_epoch(), 10);
  EXPECT_EQ(again.checkpoint(0).digest(),
            Sha256Hex("state.safetensors s1/m0/0 10"));

  // Other options make another key, that of an extension with them.
  ASSERT_TRUE(Finish(Failure(worker, again, v1::FAILURE_KIND_PERMANENT)).ok());
  wish.overrides = {"train.epochs=9"};
  const absl::Status status =
      queue_->Retry(SweepId{2}, Job(lease).id, wish).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("train.epochs is 9, expected more than the 10 of "
                        "s1/m0/0"));
  wish.overrides = {"train.epochs=25"};
  ASSERT_EQ(*queue_->Retry(SweepId{2}, Job(lease).id, wish), 1);
  const std::string changed = Job(lease).result_key;
  EXPECT_NE(changed, key);
  ASSERT_TRUE(Submit(Extended("s1", 25), "25").ok());
  EXPECT_EQ(Jobs(3)[0].result_key, changed);
}

TEST_F(JobQueueExtendTest, WhatAJobWasRetriedWithIsTrainedOnWith) {
  ASSERT_TRUE(Submit(Source(), "source").ok());
  const int64_t worker = Register("w", 8);
  const v1::Lease first = Acquire(worker)[0];
  ASSERT_TRUE(Finish(Failure(worker, first, v1::FAILURE_KIND_PERMANENT)).ok());
  RetryWish wish;
  wish.overrides = {"train.batch=4", "train.optimizer=sgd"};
  wish.slots = 2;
  ASSERT_EQ(*queue_->Retry(SweepId{1}, Job(first).id, wish), 1);
  ASSERT_THAT(TrainAll(10), SizeIs(4));

  v1::SweepSpec longer = Extended();
  for (v1::ModelSpec& model : *longer.mutable_models()) {
    model.mutable_train()->set_lr(0.5);
  }
  const auto submitted = Submit(longer, "longer");
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  Restart();
  for (const v1::Lease& lease : Acquire(Register("w", 8), 8)) {
    const v1::TrainSpec& train = lease.spec().model().train();
    const bool changed = lease.spec().job() == "s2/m0/0";
    // What the extension says, in every job.
    EXPECT_EQ(train.epochs(), 20);
    EXPECT_EQ(train.lr(), 0.5);
    EXPECT_EQ(train.optimizer(),
              changed ? v1::OPTIMIZER_SGD : v1::OPTIMIZER_ADAMW);
    EXPECT_EQ(train.batch(), changed ? 4 : 0);
    EXPECT_EQ(lease.slots(), changed ? 2 : 1);
    EXPECT_EQ(lease.checkpoint_epoch(), 10);
  }
}

TEST_F(JobQueueExtendTest, ACancelledExtensionGoesOnWhereItWas) {
  TrainSource();
  ASSERT_TRUE(Submit(Extended(), "longer").ok());
  const int64_t worker = Register("w");
  const v1::Lease lease = Acquire(worker)[0];
  ASSERT_EQ(lease.spec().job(), "s2/m0/0");
  Checkpoint(lease, 15);
  ASSERT_TRUE(queue_->Cancel(SweepId{2}, std::nullopt).ok());
  v1::FinishAttemptRequest stopped = Failure(worker, lease);
  stopped.set_outcome(v1::Attempt::CANCELLED);
  ASSERT_TRUE(Finish(stopped).ok());
  ASSERT_TRUE(Submit(Extended(), "again").ok());
  EXPECT_EQ(Jobs(3)[0].checkpoint_epoch, 15);
  EXPECT_EQ(Jobs(3)[1].checkpoint_epoch, 10);
  EXPECT_EQ(Acquire(worker)[0].checkpoint(0).digest(),
            Sha256Hex("state.safetensors s2/m0/0 15"));
  ASSERT_TRUE(Submit(Extended(), "anew", /*no_reuse=*/true).ok());
  EXPECT_EQ(Jobs(4)[0].checkpoint_epoch, 10);
}

TEST_F(JobQueueExtendTest, WhetherACheckpointIsKeptIsNoPartOfTheKey) {
  v1::ModelSpec before = Source().models(0);
  before.add_stages()->mutable_train()->set_epochs(3);
  before.add_stages();
  v1::ModelSpec now = before;
  now.mutable_train()->set_keep_checkpoint(true);
  now.mutable_stages(0)->mutable_train()->set_keep_checkpoint(false);
  const std::vector<std::string> labels = {"a", "b"};
  EXPECT_EQ(*ModelKey(now, labels, labels), *ModelKey(before, labels, labels));
  EXPECT_THAT(*ModelKey(now, labels, labels),
              ::testing::Not(HasSubstr("keep")));
}

}  // namespace
}  // namespace foldfarm
