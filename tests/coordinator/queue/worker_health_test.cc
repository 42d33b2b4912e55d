#include "coordinator/queue/worker_health.h"

#include <gtest/gtest.h>

namespace foldfarm {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'000'000);

class WorkerHealthTest : public ::testing::Test {
 protected:
  // A failure of fold `fold` of model `model` of sweep 1; returns how many
  // failures the worker is to blame for.
  size_t Fail(const std::string& worker, int model, int fold,
              absl::Time now = kNow) {
    WorkerHealth::Failure failure;
    failure.token = {++last_token_};
    failure.job = {100 * model + fold + 1};
    failure.model = {SweepId{1}, model};
    failure.time = now;
    return health_.NoteFailure(worker, failure).size();
  }
  void Succeed(const std::string& worker, int model, absl::Time now = kNow) {
    health_.NoteSuccess(worker, {SweepId{1}, model}, now);
  }

  WorkerHealth health_;
  int64_t last_token_ = 0;
};

TEST_F(WorkerHealthTest, ThreeModelsThatFailWhereOthersSucceedProveAWorker) {
  Succeed("good", 9);
  EXPECT_EQ(Fail("bad", 1, 0), 0u);
  EXPECT_EQ(Fail("bad", 2, 0), 0u);
  EXPECT_EQ(Fail("bad", 3, 0), 3u);
  EXPECT_EQ(Fail("bad", 4, 0), 0u) << "the count begins anew";
}

TEST_F(WorkerHealthTest, AnEpochOnAnotherWorkerIsAsGoodAsASuccess) {
  health_.NoteProgress("good", {SweepId{1}, 9}, kNow);
  Fail("bad", 1, 0);
  Fail("bad", 2, 0);
  EXPECT_EQ(Fail("bad", 3, 0), 3u);
}

TEST_F(WorkerHealthTest, TheOnlyWorkerIsNeverBlamedForWhatFailsOnIt) {
  for (int model = 0; model < 20; ++model) EXPECT_EQ(Fail("w", model, 0), 0u);
}

TEST_F(WorkerHealthTest, ItsOwnSuccessesBeforeProveNothingAboutIt) {
  Succeed("w", 9);
  for (int model = 0; model < 20; ++model) EXPECT_EQ(Fail("w", model, 0), 0u);
}

TEST_F(WorkerHealthTest, AnotherSweepThatRunsWellElsewhereProvesNothing) {
  health_.NoteSuccess("good", {SweepId{2}, 0}, kNow);
  for (int model = 0; model < 9; ++model) EXPECT_EQ(Fail("w", model, 0), 0u);
}

TEST_F(WorkerHealthTest, TheFoldsOfOneModelAreOneThing) {
  Succeed("good", 9);
  for (int fold = 0; fold < 5; ++fold) EXPECT_EQ(Fail("w", 1, fold), 0u);
}

TEST_F(WorkerHealthTest, UnlessTheModelRunsWellElsewhere) {
  Succeed("good", 1);
  Fail("bad", 1, 0);
  Fail("bad", 1, 1);
  EXPECT_EQ(Fail("bad", 1, 2), 3u);
}

TEST_F(WorkerHealthTest, OneJobThatFailsAgainAndAgainIsOneThing) {
  Succeed("good", 1);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Fail("w", 1, 0), 0u);
}

TEST_F(WorkerHealthTest, ASuccessInBetweenEndsTheSuspicion) {
  Succeed("good", 9);
  Fail("w", 1, 0);
  Fail("w", 2, 0);
  Succeed("w", 4);
  EXPECT_EQ(Fail("w", 3, 0), 0u);
}

TEST_F(WorkerHealthTest, AJobThatFailsOnAnotherWorkerTooSaysNothing) {
  Succeed("good", 9);
  Fail("w", 1, 0);
  Fail("w", 2, 0);
  Fail("other", 1, 0);
  EXPECT_EQ(Fail("w", 3, 0), 0u);
  EXPECT_EQ(Fail("w", 4, 0), 3u) << "without the charge of model 1";
}

TEST_F(WorkerHealthTest, OldFailuresAndOldSuccessesAreForgotten) {
  Succeed("good", 9);
  Fail("w", 1, 0, kNow);
  Fail("w", 2, 0, kNow);
  const absl::Time later = kNow + WorkerHealth::kWindow + absl::Seconds(1);
  EXPECT_EQ(Fail("w", 3, 0, later), 0u);
  const absl::Time much_later = kNow + absl::Hours(2);
  for (int model = 4; model < 9; ++model) {
    EXPECT_EQ(Fail("w", model, 0, much_later), 0u)
        << "nobody ran the sweep well lately";
  }
}

}  // namespace
}  // namespace foldfarm
