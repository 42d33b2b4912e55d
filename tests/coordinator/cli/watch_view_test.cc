#include "coordinator/cli/watch_view.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/cli/environment.h"
#include "coordinator/cli/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/coordinator/cli/watch_jobs.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::vector<std::string> Lines(const WatchState& state, size_t columns,
                               size_t rows, bool colour = false) {
  return WatchLines(state, kNow, absl::UTCTimeZone(), {columns, rows}, colour);
}

std::string Picture(const WatchState& state, size_t columns, size_t rows) {
  return absl::StrCat(absl::StrJoin(Lines(state, columns, rows), "\n"), "\n");
}

// Four folds that ran, run and wait; epochs arrive one after the other.
WatchState FourFolds() {
  WatchState state;
  v1::Job done = MakeJob("gru", 0, v1::Job::SUCCEEDED, 100);
  done.set_log_loss(0.1423);
  done.set_seconds_per_epoch(2);
  std::vector<v1::Job> jobs = {done, MakeJob("gru", 1, v1::Job::RUNNING, 0),
                               MakeJob("gru", 2, v1::Job::PENDING),
                               MakeJob("gru", 3, v1::Job::PENDING)};
  state.Apply(Update(jobs), kNow - absl::Seconds(100));
  for (int epoch = 1; epoch <= 50; ++epoch) {
    jobs[1] = MakeJob("gru", 1, v1::Job::RUNNING, epoch);
    jobs[1].set_log_loss(0.15 + 0.5 / epoch);
    state.Apply(Update(jobs), kNow - absl::Seconds(2 * (50 - epoch)));
  }
  return state;
}

v1::ListWorkersResponse OneWorker() {
  v1::ListWorkersResponse workers;
  v1::Worker& worker = *workers.add_workers();
  worker.set_name("gpu-1");
  worker.set_state(v1::Worker::ONLINE);
  worker.set_slots(1);
  worker.set_busy_slots(1);
  worker.add_jobs("s3/gru/1");
  return workers;
}

TEST(WatchLinesTest, SaysHowFarHowGoodAndWhenItIsDone) {
  WatchState state = FourFolds();
  state.SetWorkers(OneWorker());
  EXPECT_THAT(
      Picture(state, 120, 24),
      AllOf(StartsWith("s3 mars  running  for 1m 30s\n"), HasSubstr("37 %"),
            HasSubstr("1 of 4 jobs done, 1 running, 2 pending  1 of 1 slot "
                      "busy on 1 worker\n"),
            HasSubstr("gru    ✓▸··"), HasSubstr("0.1600  0.1600  0.1423"),
            HasSubstr("on gpu-1")));
}

TEST(WatchLinesTest, KeepsTheMostImportantColumnsWhereThereIsLittleRoom) {
  EXPECT_THAT(Picture(FourFolds(), 40, 24),
              AllOf(HasSubstr("gru    ✓▸··"), HasSubstr("0.1600"),
                    Not(HasSubstr("BEST"))));
}

TEST(WatchLinesTest, NamesFailuresWithTheReason) {
  WatchState state;
  v1::Job failed = MakeJob("vit", 2, v1::Job::FAILED);
  failed.set_error("exit 64: no such model\nat line 3");
  v1::Job again = MakeJob("gru", 1, v1::Job::PENDING);
  again.set_attempt_count(1);
  again.set_error("killed by signal 9");
  again.mutable_not_before_time()->set_seconds(10'042);
  state.Apply(Update({MakeJob("gru", 0, v1::Job::RUNNING, 50), again, failed}),
              kNow);
  const std::string picture = Picture(state, 100, 24);
  EXPECT_THAT(picture,
              AllOf(HasSubstr("▸↻"), HasSubstr("✗"),
                    HasSubstr("fold 1 again in 42s: killed by signal 9"),
                    HasSubstr("fold 2: exit 64: no such model"),
                    HasSubstr("✗ s3/vit/2: exit 64: no such model\n"),
                    Not(HasSubstr("line 3"))));
}

TEST(WatchLinesTest, SaysWhatTheFarmDecidedAndThatNobodyWorks) {
  WatchState state;
  v1::WatchSweepResponse update = Update({MakeJob("gru", 0, v1::Job::PENDING)});
  update.mutable_sweep()->set_note("screened: 12 of 26 models go on");
  state.Apply(update, kNow);
  state.SetWorkers({});
  EXPECT_THAT(Lines(state, 80, 24),
              AllOf(Contains("screened: 12 of 26 models go on"),
                    Contains("0 of 1 job done, 1 pending  no worker is "
                             "online")));
}

TEST(WatchLinesTest, SaysThatTheCoordinatorIsLost) {
  WatchState state;
  state.Apply(Update({MakeJob("gru", 0, v1::Job::RUNNING, 3)}), kNow);
  state.Lose(kNow);
  EXPECT_THAT(Lines(state, 80, 24),
              Contains(HasSubstr("The coordinator is not heard since ")));
}

// `models` x 4 folds; the first `running` of them run, the next fails.
WatchState Large(int models, int running) {
  WatchState state;
  std::vector<v1::Job> jobs;
  for (int m = 0; m < models; ++m) {
    // Those that are done stand in front.
    const int from_end = models - 1 - m;
    for (int fold = 0; fold < 4; ++fold) {
      const std::string name = absl::StrCat("resnet18_model", m);
      if (from_end < running) {
        jobs.push_back(MakeJob(name, fold, v1::Job::RUNNING, 30));
      } else if (from_end == running && fold == 0) {
        jobs.push_back(MakeJob(name, fold, v1::Job::FAILED, 30));
        jobs.back().set_error("out of memory");
      } else if (m % 2 == 0) {
        jobs.push_back(MakeJob(name, fold, v1::Job::SUCCEEDED, 100));
        jobs.back().set_log_loss(0.15);
      } else {
        jobs.push_back(MakeJob(name, fold, v1::Job::PENDING));
      }
    }
  }
  state.Apply(Update(jobs), kNow);
  return state;
}

TEST(WatchLinesTest, ShowsTwentySixModelsOfFourFoldsOnAUsualTerminal) {
  const WatchState state = Large(26, 4);
  const std::string picture = Picture(state, 80, 24);
  for (int m = 0; m < 26; ++m) {
    EXPECT_THAT(picture, HasSubstr(absl::StrCat("resnet18_model", m, " ")));
  }
  EXPECT_THAT(picture, Not(HasSubstr("more model")));
  // Where all have a line of their own, they keep the sweep's order.
  const std::vector<std::string> tall = Lines(state, 80, 40);
  EXPECT_THAT(tall[5], StartsWith("resnet18_model0 "));
  EXPECT_THAT(tall[30], StartsWith("resnet18_model25 "));
}

TEST(WatchLinesTest, PutsRunningAndFailingFirstAndSumsUpTheRest) {
  const std::vector<std::string> lines = Lines(Large(60, 3), 80, 16);
  ASSERT_EQ(lines.size(), 16u);
  EXPECT_THAT(lines[5], StartsWith("resnet18_model57 "));
  EXPECT_THAT(lines[7], StartsWith("resnet18_model59 "));
  EXPECT_THAT(lines[8], StartsWith("resnet18_model56 "));
  EXPECT_THAT(lines,
              Contains(AllOf(StartsWith("and "), HasSubstr(" more models: "),
                             HasSubstr(" done"))));
}

TEST(WatchLinesTest, FitsEveryTerminal) {
  for (const int models : {1, 4, 26, 200}) {
    for (const int running : {0, 1, 40}) {
      const WatchState state = Large(models, std::min(running, models));
      for (const size_t columns : {20u, 27u, 40u, 60u, 80u, 99u, 120u, 200u}) {
        for (const size_t rows : {1u, 3u, 6u, 10u, 24u, 60u}) {
          const std::vector<std::string> lines =
              Lines(state, columns, rows, true);
          EXPECT_LE(lines.size(), rows) << models << " models, " << columns;
          for (const std::string& line : lines) {
            EXPECT_LE(DisplayWidth(line), columns)
                << columns << " x " << rows << ": " << line;
          }
        }
      }
    }
  }
}

TEST(WatchLinesTest, SaysTheSameWithoutColourAndInAscii) {
  WatchState state = FourFolds();
  state.SetWorkers(OneWorker());
  const std::vector<std::string> coloured = Lines(state, 100, 24, true);
  const std::vector<std::string> plain = Lines(state, 100, 24, false);
  ASSERT_EQ(coloured.size(), plain.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(DisplayWidth(coloured[i]), DisplayWidth(plain[i]));
    const std::string ascii = ToAscii(plain[i]);
    EXPECT_EQ(DisplayWidth(ascii), DisplayWidth(plain[i]));
    EXPECT_TRUE(std::all_of(ascii.begin(), ascii.end(), [](char c) {
      return (c & 0x80) == 0;
    })) << ascii;
  }
}

}  // namespace
}  // namespace foldfarm
