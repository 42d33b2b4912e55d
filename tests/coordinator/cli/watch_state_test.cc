#include "coordinator/cli/watch_state.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/coordinator/cli/watch_jobs.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

std::vector<std::string> Texts(const std::vector<WatchEvent>& events) {
  std::vector<std::string> texts;
  for (const WatchEvent& event : events) texts.push_back(event.text);
  return texts;
}

class WatchStateTest : public testing::Test {
 protected:
  std::vector<std::string> Apply(const std::vector<v1::Job>& jobs) {
    return Texts(state_.Apply(Update(jobs), kNow));
  }
  WatchState state_;
};

TEST_F(WatchStateTest, BeginsWithASummaryNotAFlood) {
  EXPECT_THAT(Apply({MakeJob("gru", 0, v1::Job::RUNNING, 3),
                     MakeJob("gru", 1, v1::Job::PENDING)}),
              ElementsAre("s3 (mars) on dataset mars-data: 0 of 2 jobs done, 1 "
                          "running, 1 pending"));
}

TEST_F(WatchStateTest, ReportsEveryQuarterOfAJobsEpochsOnce) {
  Apply({MakeJob("gru", 0, v1::Job::RUNNING, 0)});
  EXPECT_THAT(Apply({MakeJob("gru", 0, v1::Job::RUNNING, 24)}), IsEmpty());
  EXPECT_THAT(
      Apply({MakeJob("gru", 0, v1::Job::RUNNING, 25)}),
      ElementsAre(StartsWith("s3/gru/0 epoch 25/100, log loss 0.2500, 2m ")));
  EXPECT_THAT(Apply({MakeJob("gru", 0, v1::Job::RUNNING, 49)}), IsEmpty());
}

TEST_F(WatchStateTest, SaysOnceThatTheCoordinatorIsLostAndThatItIsBack) {
  Apply({MakeJob("gru", 0, v1::Job::RUNNING, 0)});
  EXPECT_FALSE(state_.lost().has_value());
  const auto lost = state_.Lose(kNow);
  ASSERT_TRUE(lost.has_value());
  EXPECT_THAT(lost->text, StartsWith("the coordinator is not heard"));
  EXPECT_FALSE(state_.Lose(kNow + absl::Seconds(1)).has_value());
  EXPECT_EQ(*state_.lost(), kNow);
  EXPECT_THAT(Apply({MakeJob("gru", 0, v1::Job::RUNNING, 0)}),
              ElementsAre("the coordinator is heard again"));
  EXPECT_FALSE(state_.lost().has_value());
}

TEST_F(WatchStateTest, ReportsHowJobsEnd) {
  Apply({MakeJob("gru", 0, v1::Job::RUNNING, 90),
         MakeJob("gru", 1, v1::Job::RUNNING, 90)});
  v1::Job done = MakeJob("gru", 0, v1::Job::SUCCEEDED, 100);
  done.set_log_loss(0.2);
  v1::Job failed = MakeJob("gru", 1, v1::Job::FAILED, 90);
  failed.set_error("out of memory\ndetails");
  EXPECT_THAT(
      Apply({done, failed}),
      ElementsAre(
          "s3/gru/0 succeeded, log loss 0.2000 (2 of 2 jobs done, 1 failed)",
          "s3/gru/1 failed: out of memory"));
  ASSERT_EQ(state_.recent().size(), 2u);
  EXPECT_EQ(state_.recent()[0].text,
            "s3/gru/0 succeeded, log loss 0.2000, in 3m 20s");
}

TEST_F(WatchStateTest, SaysWhenAJobWaitsAgainAndWhy) {
  Apply({MakeJob("gru", 0, v1::Job::RUNNING, 90)});
  v1::Job again = MakeJob("gru", 0, v1::Job::PENDING);
  again.set_attempt_count(1);
  again.set_error("the lease ran out");
  EXPECT_THAT(Apply({again}),
              ElementsAre("s3/gru/0 pending again: the lease ran out"));
  v1::Job second = MakeJob("gru", 0, v1::Job::RUNNING, 90);
  second.set_attempt_count(2);
  EXPECT_THAT(Apply({second}),
              ElementsAre("s3/gru/0 running on gpu-1, attempt 2"));
}

TEST_F(WatchStateTest, SaysOnceWhyNothingRuns) {
  v1::ListJobsResponse pending;
  for (int fold = 0; fold < 3; ++fold) {
    v1::Job& job = *pending.add_jobs();
    job = MakeJob("gru", fold, v1::Job::PENDING);
    job.set_waiting_reason(fold == 0 ? "behind 1 job of higher priority"
                                     : "no worker has 4 slots free");
  }
  Apply({MakeJob("gru", 0, v1::Job::RUNNING), pending.jobs(1)});
  EXPECT_FALSE(state_.Stands());
  EXPECT_FALSE(state_.NoteWaiting(pending, kNow).has_value());
  Apply({pending.jobs(0)});
  EXPECT_TRUE(state_.Stands());
  const auto event = state_.NoteWaiting(pending, kNow);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->text, "nothing runs: no worker has 4 slots free (2 jobs)");
  EXPECT_EQ(state_.recent().back().text, event->text);
  EXPECT_FALSE(state_.NoteWaiting(pending, kNow).has_value());
  for (v1::Job& job : *pending.mutable_jobs()) {
    job.set_waiting_reason("no worker has 8 slots free");
  }
  EXPECT_FALSE(state_.NoteWaiting(pending, kNow).has_value());
  // When something ran meanwhile it is said again.
  Apply({MakeJob("gru", 0, v1::Job::RUNNING)});
  Apply({pending.jobs(0)});
  EXPECT_TRUE(state_.NoteWaiting(pending, kNow).has_value());
}

TEST_F(WatchStateTest, SaysWhatTheFarmDecidedOnce) {
  Apply({MakeJob("gru", 0, v1::Job::RUNNING, 1)});
  v1::WatchSweepResponse update = Update({});
  update.mutable_sweep()->set_note("screened: 12 of 26 models go on");
  EXPECT_THAT(Texts(state_.Apply(update, kNow)),
              ElementsAre("s3 screened: 12 of 26 models go on"));
  EXPECT_THAT(state_.Apply(update, kNow), IsEmpty());
}

TEST(JobsToLookUpTest, AreThoseThatRunAndOneThatEndedOfEachModel) {
  v1::Job early = MakeJob("gru", 0, v1::Job::SUCCEEDED, 100);
  v1::Job late = MakeJob("gru", 1, v1::Job::SUCCEEDED, 100);
  late.mutable_end_time()->set_seconds(9'999);
  const std::vector<v1::Job> jobs = {early, late,
                                     MakeJob("gru", 2, v1::Job::RUNNING, 5),
                                     MakeJob("gru", 3, v1::Job::RUNNING, 0),
                                     MakeJob("vit", 0, v1::Job::PENDING)};
  EXPECT_THAT(JobsToLookUp(jobs, 64), ElementsAre("s3/gru/2", "s3/gru/1"));
  EXPECT_THAT(JobsToLookUp(jobs, 1), ElementsAre("s3/gru/2"));
}

}  // namespace
}  // namespace foldfarm
