#include "coordinator/cli/status_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "coordinator/cli/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/coordinator/cli/watch_jobs.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

StatusInput Input(const std::vector<v1::Job>& jobs) {
  StatusInput input;
  input.sweep = Update(jobs).sweep();
  input.sweep.set_models(2);
  for (const v1::Job& job : jobs) *input.jobs.add_jobs() = job;
  return input;
}

v1::Job Done(const std::string& model, int fold, double log_loss) {
  v1::Job job = MakeJob(model, fold, v1::Job::SUCCEEDED, 100);
  job.set_log_loss(log_loss);
  job.set_seconds_per_epoch(2);
  return job;
}

std::string Text(const StatusInput& input, size_t width = 100) {
  return StatusText(input, kNow, absl::UTCTimeZone(), width, false);
}

// A complete model with its log loss, shrunk.
void AddScores(const std::string& model, double log_loss, StatusInput& input) {
  if (!input.ensemble.has_value()) input.ensemble.emplace();
  v1::ModelScores& scores = *input.ensemble->add_models();
  scores.set_model(model);
  scores.mutable_scores()->set_log_loss_shrink_0002(log_loss);
}

TEST(StatusTextTest, AnswersHowFarHowGoodAndWhenItIsDone) {
  StatusInput input = Input({Done("gru", 0, 0.14), Done("gru", 1, 0.16),
                             MakeJob("vit", 0, v1::Job::RUNNING, 50),
                             MakeJob("vit", 1, v1::Job::PENDING)});
  v1::GetMetricsResponse metrics;
  for (int epoch = 1; epoch <= 50; ++epoch) {
    v1::EpochMetrics& one = *metrics.add_epochs();
    one.set_epoch(epoch);
    (*one.mutable_values())["log_loss"] = 1.0 / epoch;
    (*one.mutable_values())["seconds"] = 2;
  }
  input.history.Add("s3/vit/0", metrics);
  input.ensemble.emplace();
  AddScores("gru", 0.1499, input);
  input.ensemble->mutable_ensemble()->set_log_loss_shrink_0002(0.1326);
  input.ensemble->mutable_ensemble()->set_accuracy(0.953);
  input.workers.emplace();
  v1::Worker& worker = *input.workers->add_workers();
  worker.set_name("gpu-1");
  worker.set_state(v1::Worker::ONLINE);
  worker.set_slots(1);
  worker.set_busy_slots(1);
  worker.add_jobs("s3/vit/0");
  EXPECT_THAT(
      Text(input),
      AllOf(HasSubstr("s3 mars  running  for 1m 30s\n"), HasSubstr("62 %"),
            HasSubstr("2 of 4 jobs done, 1 running, 1 pending; 1 of 1 slot "
                      "busy on 1 worker\n"),
            HasSubstr("ensemble of 1: log loss 0.1326, accuracy 95.3 %; best "
                      "model: gru 0.1499\n"),
            HasSubstr("gru    0.1500  0.1400  0.1600"), HasSubstr("50 %")));
}

TEST(StatusTextTest, TheBestModelIsScoredAsTheEnsembleIs) {
  // Its jobs' log losses are not shrunk, and would put the other first.
  StatusInput input = Input({Done("mine", 0, 0.4479), Done("mine", 1, 0.4477),
                             Done("other", 0, 0.4476)});
  EXPECT_THAT(Text(input), HasSubstr("\nbest model: other 0.4476\n"));
  AddScores("mine", 0.4475, input);
  AddScores("other", 0.4480, input);
  input.ensemble->mutable_ensemble()->set_log_loss_shrink_0002(0.4475);
  input.ensemble->mutable_ensemble()->set_accuracy(0.8);
  EXPECT_THAT(Text(input),
              HasSubstr("ensemble of 2: log loss 0.4475, accuracy 80.0 %; best "
                        "model: mine 0.4475\n"));
}

TEST(StatusTextTest, SaysThatItIsPaused) {
  StatusInput input = Input({MakeJob("gru", 0, v1::Job::PENDING)});
  input.sweep.set_paused(true);
  EXPECT_THAT(Text(input), HasSubstr("s3 mars  paused"));
}

TEST(StatusTextTest, SaysWhatIsWrongAndWhatToDo) {
  v1::Job failed = MakeJob("gru", 0, v1::Job::FAILED);
  failed.set_error("exit 70: out of luck\nlast words\n");
  v1::Job again = MakeJob("gru", 1, v1::Job::PENDING);
  again.set_attempt_count(1);
  again.set_error("killed by signal 9");
  again.mutable_not_before_time()->set_seconds(10'042);
  v1::Job exec = MakeJob("own", 0, v1::Job::PENDING);
  exec.set_waiting_reason("no worker was started with --allow-exec");
  v1::Job other = exec;
  other.set_name("s3/own/1");
  other.set_fold(1);
  const std::string text = Text(Input({failed, again, exec, other}));
  EXPECT_THAT(
      text,
      AllOf(HasSubstr("✗ s3/gru/0: exit 70: out of luck\nlast words\n"),
            HasSubstr("↻ s3/gru/1 tried again in 42s: killed by signal 9\n"),
            HasSubstr("↻ s3/own/0 and 1 more waiting: no worker was started "
                      "with --allow-exec"),
            HasSubstr("foldfarm job s3/gru/0"),
            HasSubstr("foldfarm retry s3")));
}

TEST(StatusTextTest, NamesAFewOfManyFailures) {
  std::vector<v1::Job> jobs;
  for (int fold = 0; fold < 40; ++fold) {
    jobs.push_back(MakeJob("gru", fold, v1::Job::FAILED));
    jobs.back().set_error("no luck");
  }
  const std::string text = Text(Input(jobs));
  EXPECT_THAT(text, AllOf(HasSubstr("s3/gru/11: no luck"),
                          Not(HasSubstr("s3/gru/12: no luck")),
                          HasSubstr("and 28 more; all: foldfarm jobs s3 "
                                    "--state failed")));
}

TEST(StatusTextTest, KeepsToTheWidth) {
  std::vector<v1::Job> jobs;
  for (int fold = 0; fold < 4; ++fold) {
    jobs.push_back(Done("resnet18_cls3_clip3_mix0.25", fold, 0.15));
    jobs.push_back(MakeJob("vit", fold, v1::Job::PENDING));
    jobs.back().set_attempt_count(1);
    jobs.back().set_error(std::string(200, 'x'));
  }
  for (const size_t width : {40u, 60u, 80u, 120u}) {
    for (const absl::string_view line :
         absl::StrSplit(Text(Input(jobs), width), '\n')) {
      EXPECT_LE(DisplayWidth(line), width) << line;
    }
  }
}

TEST(StatusTextTest, JobsThatBackOffSayOnceWhatTheyFailedFor) {
  std::vector<v1::Job> jobs;
  for (int fold = 0; fold < 3; ++fold) {
    v1::Job job = MakeJob("gru", fold, v1::Job::PENDING, 0);
    job.set_error("exited with status 70: cannot read the dataset\nmore");
    job.set_waiting_reason(
        absl::StrCat("backoff after a failed attempt until 12:00:0", fold));
    job.mutable_not_before_time()->set_seconds(10'030 + fold);
    jobs.push_back(job);
  }
  // However narrow.
  EXPECT_THAT(
      Text(Input(jobs), 40),
      AllOf(HasSubstr("↻ s3/gru/0 and 2 more tried again in\n30s: exited "
                      "with status 70: cannot read\nthe dataset\n"),
            Not(HasSubstr("backoff"))));
}

}  // namespace
}  // namespace foldfarm
