#include "coordinator/cli/sweep_history.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(10'000);

v1::Job MakeJob(int epoch, double mean, double log_loss, int attempt = 1) {
  v1::Job job;
  job.set_name("s1/gru/0");
  job.set_state(v1::Job::RUNNING);
  job.set_attempt_count(attempt);
  job.set_epoch(epoch);
  job.set_epochs(100);
  job.set_seconds_per_epoch(mean);
  if (epoch > 0) job.set_log_loss(log_loss);
  return job;
}

void AddEpoch(int epoch, double log_loss, double seconds, int64_t token,
              v1::GetMetricsResponse& metrics) {
  v1::EpochMetrics& one = *metrics.add_epochs();
  one.set_epoch(epoch);
  one.set_token(token);
  if (log_loss > 0) (*one.mutable_values())["log_loss"] = log_loss;
  (*one.mutable_values())["seconds"] = seconds;
}

TEST(SweepHistoryTest, TellsEpochsFromTheirRunningMean) {
  SweepHistory history;
  history.Observe(MakeJob(0, 0, 0), kNow);
  history.Observe(MakeJob(1, 6, 0.5), kNow + absl::Seconds(6));
  // 6 s, then twice 3 s: a mean of 4 s.
  history.Observe(MakeJob(3, 4, 0.3), kNow + absl::Seconds(12));
  EXPECT_THAT(history.Curve("s1/gru/0"), ElementsAre(0.5, 0.3));
  const SweepHistory::Pace pace = history.PaceOf(MakeJob(3, 4, 0.3));
  EXPECT_DOUBLE_EQ(pace.first_seconds, 6);
  EXPECT_EQ(pace.epochs, 2);
  EXPECT_DOUBLE_EQ(pace.seconds, 6);
  EXPECT_EQ(pace.first_epochs, 0);
  EXPECT_EQ(history.LastEpochTime("s1/gru/0"), kNow + absl::Seconds(12));
}

TEST(SweepHistoryTest, DoesNotTakeTheFirstLookForAnEvent) {
  SweepHistory history;
  history.Observe(MakeJob(40, 2, 0.2), kNow);
  EXPECT_EQ(history.LastEpochTime("s1/gru/0"), absl::InfinitePast());
  const SweepHistory::Pace pace = history.PaceOf(MakeJob(40, 2, 0.2));
  EXPECT_DOUBLE_EQ(pace.seconds / pace.epochs, 2);
}

TEST(SweepHistoryTest, MetricsFillInWhatWasBefore) {
  SweepHistory history;
  history.Observe(MakeJob(3, 4, 0.3), kNow);
  history.Observe(MakeJob(4, 4, 0.25), kNow + absl::Seconds(4));
  v1::GetMetricsResponse metrics;
  AddEpoch(1, 0.9, 6, 7, metrics);
  AddEpoch(2, 0, 3, 7, metrics);  // Not validated.
  AddEpoch(3, 0.3, 3, 7, metrics);
  history.Add("s1/gru/0", metrics);
  EXPECT_THAT(history.Curve("s1/gru/0"), ElementsAre(0.9, 0.3, 0.25));
  const SweepHistory::Pace pace = history.PaceOf(MakeJob(4, 4, 0.25));
  EXPECT_DOUBLE_EQ(pace.first_seconds, 6);
  EXPECT_EQ(pace.epochs, 3);
  EXPECT_DOUBLE_EQ(pace.seconds, 3 + 3 + 4);
}

TEST(SweepHistoryTest, EpochsTrainedAgainAreNotDrawnTwice) {
  SweepHistory history;
  history.Observe(MakeJob(0, 0, 0), kNow);
  history.Observe(MakeJob(1, 2, 0.5), kNow);
  history.Observe(MakeJob(2, 2, 0.4), kNow);
  // The second attempt goes on after a checkpoint of epoch 1.
  history.Observe(MakeJob(1, 0, 0.4, 2), kNow);
  history.Observe(MakeJob(2, 2, 0.4, 2), kNow);
  history.Observe(MakeJob(3, 2, 0.3, 2), kNow);
  EXPECT_THAT(history.Curve("s1/gru/0"), ElementsAre(0.5, 0.4, 0.3));
}

TEST(SweepHistoryTest, EpochsOfTheSweepThatIsExtendedAreNoneOfTheJob) {
  SweepHistory history;
  history.Observe(MakeJob(10, 0, 0, 0), kNow);
  EXPECT_EQ(history.EpochsBefore("s1/gru/0"), 0) << "nothing is known yet";
  history.Observe(MakeJob(10, 0, 0), kNow);
  history.Observe(MakeJob(11, 2, 0.5), kNow);
  history.Observe(MakeJob(12, 2, 0.4), kNow);
  EXPECT_THAT(history.Curve("s1/gru/0"), ElementsAre(0.5, 0.4));
  EXPECT_EQ(history.EpochsBefore("s1/gru/0"), 10);
  const SweepHistory::Pace pace = history.PaceOf(MakeJob(12, 2, 0.4));
  EXPECT_DOUBLE_EQ(pace.first_seconds, 2);
  EXPECT_EQ(pace.epochs, 1);
  v1::GetMetricsResponse metrics;
  AddEpoch(11, 0.5, 2, 7, metrics);
  history.Add("s1/gru/0", metrics);
  EXPECT_EQ(history.EpochsBefore("s1/gru/0"), 10);
}

TEST(SweepHistoryTest, TheAveragedScoreOfAResultIsNoEpoch) {
  SweepHistory history;
  history.Observe(MakeJob(0, 0, 0), kNow);
  v1::Job done = MakeJob(1, 2, 0.1);
  done.set_state(v1::Job::SUCCEEDED);
  history.Observe(done, kNow);
  EXPECT_THAT(history.Curve("s1/gru/0"), IsEmpty());
}

TEST(SweepHistoryTest, WithoutHistoryTheMeanHasToDo) {
  const SweepHistory::Pace pace = SweepHistory().PaceOf(MakeJob(5, 3, 0.3));
  EXPECT_EQ(pace.epochs, 5);
  EXPECT_DOUBLE_EQ(pace.seconds, 15);
  EXPECT_EQ(pace.first_epochs, 1);
}

}  // namespace
}  // namespace foldfarm
