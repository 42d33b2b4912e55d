// What attempts say of their epochs and checkpoints.
#include <string>
#include <vector>

#include "tests/coordinator/queue/queue_fixture.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;

class JobQueueProgressTest : public QueueFixture {
 protected:
  v1::ReportProgressRequest Started(const v1::Lease& lease, int epoch) {
    v1::ReportProgressRequest report;
    report.set_token(lease.token());
    report.set_started(true);
    report.set_device("cpu");
    report.set_resumed_epoch(epoch);
    return report;
  }

  static void AddEpochs(int first, int last, v1::ReportProgressRequest& to) {
    for (int epoch = first; epoch <= last; ++epoch) {
      v1::EpochMetrics& metrics = *to.add_epochs();
      metrics.set_epoch(epoch);
      (*metrics.mutable_values())["log_loss"] = 1.0 / epoch;
    }
  }

  void AddCheckpoint(const v1::Lease& lease, int epoch,
                     v1::ReportProgressRequest& to) {
    to.set_checkpoint_epoch(epoch);
    *to.add_checkpoint() =
        Keep(absl::StrCat(lease.token(), " at ", epoch), "state.safetensors");
  }

  void Report(const v1::ReportProgressRequest& report) {
    const auto reported = Call(&JobQueue::ReportProgress, report);
    ASSERT_TRUE(reported.ok()) << reported.status();
  }

  void HandBack(int64_t session, const v1::Lease& lease) {
    v1::FinishAttemptRequest finish = Failure(session, lease);
    finish.set_outcome(v1::Attempt::PREEMPTED);
    ASSERT_TRUE(Finish(finish).ok());
  }

  // Epochs that are known, and whose they are.
  std::vector<std::pair<int, int64_t>> Epochs(const v1::Lease& lease) {
    std::vector<std::pair<int, int64_t>> epochs;
    EXPECT_TRUE(store_
                    ->Read([&](const Reader& reader) -> absl::Status {
                      const auto metrics = reader.ListMetrics(Job(lease).id);
                      if (!metrics.ok()) return metrics.status();
                      for (const v1::EpochMetrics& epoch : *metrics) {
                        epochs.emplace_back(epoch.epoch(), epoch.token());
                      }
                      return absl::OkStatus();
                    })
                    .ok());
    return epochs;
  }

  // The first job runs to `last` epochs with a checkpoint at `checkpoint`.
  v1::Lease RunTo(int64_t session, int checkpoint, int last) {
    EXPECT_TRUE(Submit(Spec("m", 1), "r").ok());
    const v1::Lease lease = Acquire(session)[0];
    v1::ReportProgressRequest report = Started(lease, 0);
    AddEpochs(1, checkpoint, report);
    AddCheckpoint(lease, checkpoint, report);
    Report(report);
    v1::ReportProgressRequest more;
    more.set_token(lease.token());
    AddEpochs(checkpoint + 1, last, more);
    Report(more);
    return lease;
  }
};

TEST_F(JobQueueProgressTest, EpochsThatAnAttemptTookWithItAreNotTheResults) {
  const int64_t worker = Register("w");
  const v1::Lease lost = RunTo(worker, 4, 7);
  EXPECT_THAT(Epochs(lost), SizeIs(7));
  HandBack(worker, lost);
  const v1::Lease next = Acquire(worker)[0];
  ASSERT_EQ(next.checkpoint_epoch(), 4);
  v1::ReportProgressRequest report = Started(next, 4);
  AddEpochs(5, 5, report);
  Report(report);
  // It stops earlier than the former one.
  ASSERT_TRUE(Finish(Success(worker, next)).ok());
  const int64_t old = lost.token();
  EXPECT_THAT(Epochs(next),
              ElementsAre(Pair(1, old), Pair(2, old), Pair(3, old),
                          Pair(4, old), Pair(5, next.token())));
}

TEST_F(JobQueueProgressTest, WhatHadToBeginAnewHasItsCheckpointsKept) {
  const int64_t worker = Register("w");
  const v1::Lease first = RunTo(worker, 4, 6);
  HandBack(worker, first);
  // Its checkpoint is lost: it begins at the first epoch.
  const v1::Lease second = Acquire(worker)[0];
  ASSERT_EQ(second.checkpoint_epoch(), 4);
  Report(Started(second, 0));
  EXPECT_EQ(Job(second).epoch, 0);
  EXPECT_EQ(Job(second).log_loss, std::nullopt);
  v1::ReportProgressRequest report;
  report.set_token(second.token());
  AddEpochs(1, 2, report);
  AddCheckpoint(second, 2, report);
  Report(report);
  EXPECT_EQ(Job(second).epoch, 2);
  EXPECT_EQ(Job(second).checkpoint_epoch, 2);
  EXPECT_THAT(Epochs(second),
              ElementsAre(Pair(1, second.token()), Pair(2, second.token())));
  // One that came late is no newer.
  v1::ReportProgressRequest late;
  late.set_token(second.token());
  AddCheckpoint(second, 1, late);
  Report(late);
  EXPECT_EQ(Job(second).checkpoint_epoch, 2);
  HandBack(worker, second);
  const v1::Lease third = Acquire(worker)[0];
  EXPECT_EQ(third.checkpoint_epoch(), 2);
  EXPECT_EQ(third.checkpoint(0).digest(),
            Sha256Hex(absl::StrCat(second.token(), " at 2")));
}

TEST_F(JobQueueProgressTest, AProgramThatDoesNotSayWhereItGoesOnLosesNoEpoch) {
  const int64_t worker = Register("w");
  const v1::Lease first = RunTo(worker, 4, 4);
  HandBack(worker, first);
  const v1::Lease second = Acquire(worker)[0];
  v1::ReportProgressRequest report = Started(second, 0);
  AddEpochs(5, 6, report);
  Report(report);
  EXPECT_EQ(Job(second).epoch, 6);
  EXPECT_THAT(Epochs(second), SizeIs(6));
}

}  // namespace
}  // namespace foldfarm
