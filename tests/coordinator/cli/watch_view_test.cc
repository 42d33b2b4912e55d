#include "coordinator/cli/watch_view.h"

#include "coordinator/cli/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const absl::Time kNow = absl::FromUnixSeconds(10'000);

v1::Job MakeJob(int fold, v1::Job::State state, int epoch = 0) {
  v1::Job job;
  job.set_name("s3/gru/" + std::to_string(fold));
  job.set_model("gru");
  job.set_fold(fold);
  job.set_state(state);
  job.set_epoch(epoch);
  job.set_epochs(100);
  job.set_attempt_count(state == v1::Job::PENDING ? 0 : 1);
  if (state == v1::Job::RUNNING) {
    job.set_worker("gpu-1");
    job.set_seconds_per_epoch(2);
    job.set_log_loss(0.25);
  }
  return job;
}

v1::WatchSweepResponse Update(const std::vector<v1::Job>& jobs) {
  v1::WatchSweepResponse update;
  v1::Sweep& sweep = *update.mutable_sweep();
  sweep.set_id("s3");
  sweep.set_name("mars");
  sweep.set_dataset("mars-data");
  sweep.set_state(v1::Sweep::RUNNING);
  sweep.mutable_create_time()->set_seconds(9'910);
  for (const v1::Job& job : jobs) {
    *update.add_jobs() = job;
    switch (job.state()) {
      case v1::Job::PENDING:
        sweep.set_pending(sweep.pending() + 1);
        break;
      case v1::Job::RUNNING:
        sweep.set_running(sweep.running() + 1);
        break;
      case v1::Job::SUCCEEDED:
        sweep.set_succeeded(sweep.succeeded() + 1);
        break;
      case v1::Job::FAILED:
        sweep.set_failed(sweep.failed() + 1);
        break;
      default:
        break;
    }
  }
  return update;
}

TEST(WatchLinesTest, ShowsTheSweepAndThenAJobALine) {
  WatchState state;
  state.Apply(Update({MakeJob(0, v1::Job::RUNNING, 50)}));
  EXPECT_THAT(
      WatchLines(state, kNow, {100, 24}, false),
      ElementsAre("s3 mars  running  for 1m 30s",
                  "━━━━━━━━━━━━────────────  50 %  1m 40s left  0 of 1 job "
                  "done, 1 running",
                  "",
                  "gru/0  running    ━━━━━━━━━━━━────────────   50/100  0.2500 "
                  " 1m 40s left  on gpu-1"));
}

TEST(WatchLinesTest, PutsRunningFirstThenFailedPendingAndDone) {
  WatchState state;
  v1::Job failed = MakeJob(2, v1::Job::FAILED);
  failed.set_error("exit 64: no such model\nat line 3");
  state.Apply(
      Update({MakeJob(0, v1::Job::SUCCEEDED, 100), MakeJob(1, v1::Job::PENDING),
              failed, MakeJob(3, v1::Job::RUNNING, 5)}));
  const std::vector<std::string> lines =
      WatchLines(state, kNow, {100, 24}, false);
  ASSERT_EQ(lines.size(), 7u);
  EXPECT_THAT(lines[3], StartsWith("gru/3  running"));
  EXPECT_THAT(lines[4], AllOf(StartsWith("gru/2  failed"),
                              HasSubstr("exit 64: no such model")));
  EXPECT_THAT(lines[5], StartsWith("gru/1  pending"));
  EXPECT_THAT(lines[6], StartsWith("gru/0  succeeded"));
}

TEST(WatchLinesTest, FitsTheTerminalAndSaysHowManyItLeavesOut) {
  std::vector<v1::Job> jobs;
  for (int fold = 0; fold < 47; ++fold) {
    jobs.push_back(MakeJob(fold, v1::Job::RUNNING, fold));
  }
  WatchState state;
  state.Apply(Update(jobs));
  for (const size_t columns : {20u, 40u, 72u, 80u, 99u, 200u}) {
    const std::vector<std::string> lines =
        WatchLines(state, kNow, {columns, 14}, true);
    EXPECT_EQ(lines.size(), 14u);
    EXPECT_THAT(lines.back(), HasSubstr("and 37 more"));
    if (columns < 40) continue;
    for (const std::string& line : lines) {
      EXPECT_LE(DisplayWidth(line), columns) << line;
    }
  }
}

TEST(WatchStateTest, BeginsWithASummaryNotAFlood) {
  WatchState state;
  EXPECT_THAT(state.Apply(Update({MakeJob(0, v1::Job::RUNNING, 3),
                                  MakeJob(1, v1::Job::PENDING)})),
              ElementsAre("s3 (mars) on dataset mars-data: 0 of 2 jobs done, 1 "
                          "running, 1 pending"));
}

TEST(WatchStateTest, ReportsEveryQuarterOfAJobsEpochsOnce) {
  WatchState state;
  state.Apply(Update({MakeJob(0, v1::Job::RUNNING, 0)}));
  EXPECT_THAT(state.Apply(Update({MakeJob(0, v1::Job::RUNNING, 24)})),
              IsEmpty());
  EXPECT_THAT(
      state.Apply(Update({MakeJob(0, v1::Job::RUNNING, 25)})),
      ElementsAre("s3/gru/0 epoch 25/100, log loss 0.2500, 2m 30s left"));
  EXPECT_THAT(state.Apply(Update({MakeJob(0, v1::Job::RUNNING, 49)})),
              IsEmpty());
}

TEST(WatchStateTest, ReportsHowJobsEnd) {
  WatchState state;
  state.Apply(Update(
      {MakeJob(0, v1::Job::RUNNING, 90), MakeJob(1, v1::Job::RUNNING, 90)}));
  v1::Job done = MakeJob(0, v1::Job::SUCCEEDED, 100);
  done.set_log_loss(0.2);
  v1::Job failed = MakeJob(1, v1::Job::FAILED, 90);
  failed.set_error("out of memory\ndetails");
  const std::vector<std::string> lines = state.Apply(Update({done, failed}));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0],
            "s3/gru/0 succeeded, log loss 0.2000 (2 of 2 jobs done, 1 failed)");
  EXPECT_EQ(lines[1], "s3/gru/1 failed: out of memory");
}

TEST(WatchStateTest, SaysOnceWhatTheFarmDecidedByItself) {
  WatchState state;
  v1::WatchSweepResponse update = Update({MakeJob(0, v1::Job::PENDING)});
  state.Apply(update);
  update.clear_jobs();
  update.mutable_sweep()->set_note("screened: 12 of 26 models go on");
  EXPECT_THAT(state.Apply(update),
              ElementsAre("s3 screened: 12 of 26 models go on"));
  EXPECT_THAT(state.Apply(update), IsEmpty());
  const std::vector<std::string> lines =
      WatchLines(state, kNow, {.columns = 80, .rows = 24}, false);
  EXPECT_EQ(lines[2], "screened: 12 of 26 models go on");
  EXPECT_EQ(lines[3], "");
}

TEST(WatchStateTest, SaysWhenAJobWaitsAgainAndWhy) {
  WatchState state;
  state.Apply(Update({MakeJob(0, v1::Job::RUNNING, 90)}));
  v1::Job again = MakeJob(0, v1::Job::PENDING);
  again.set_attempt_count(1);
  again.set_error("the lease ran out");
  EXPECT_THAT(state.Apply(Update({again})),
              ElementsAre("s3/gru/0 pending again: the lease ran out"));
  v1::Job second = MakeJob(0, v1::Job::RUNNING, 90);
  second.set_attempt_count(2);
  EXPECT_THAT(state.Apply(Update({second})),
              ElementsAre("s3/gru/0 running on gpu-1, attempt 2"));
}

}  // namespace
}  // namespace foldfarm
