#include "coordinator/cli/eta.h"

#include <vector>

#include "gtest/gtest.h"

namespace foldfarm {
namespace {

v1::Job MakeJob(const std::string& model, int fold, v1::Job::State state,
                int epoch, double seconds_per_epoch = 0) {
  v1::Job job;
  job.set_name("s1/" + model + "/" + std::to_string(fold));
  job.set_model(model);
  job.set_fold(fold);
  job.set_state(state);
  job.set_epoch(epoch);
  job.set_epochs(10);
  job.set_seconds_per_epoch(seconds_per_epoch);
  return job;
}

TEST(EstimateTest, IsUnknownBeforeTheFirstEpoch) {
  const std::vector<v1::Job> jobs = {MakeJob("gru", 0, v1::Job::RUNNING, 0)};
  EXPECT_EQ(EstimateRemaining(jobs).sweep, absl::InfiniteDuration());
}

TEST(EstimateTest, IsUnknownWhileNothingRuns) {
  const std::vector<v1::Job> jobs = {
      MakeJob("gru", 0, v1::Job::SUCCEEDED, 10, 2),
      MakeJob("gru", 1, v1::Job::PENDING, 0)};
  EXPECT_EQ(EstimateRemaining(jobs).sweep, absl::InfiniteDuration());
}

TEST(EstimateTest, IsZeroWhenAllJobsAreFinal) {
  const std::vector<v1::Job> jobs = {
      MakeJob("gru", 0, v1::Job::SUCCEEDED, 10, 2),
      MakeJob("gru", 1, v1::Job::FAILED, 3)};
  EXPECT_EQ(EstimateRemaining(jobs).sweep, absl::ZeroDuration());
}

TEST(EstimateTest, TakesARunningJobsOwnEpochs) {
  const std::vector<v1::Job> jobs = {MakeJob("gru", 0, v1::Job::RUNNING, 4, 2)};
  const Estimate estimate = EstimateRemaining(jobs);
  EXPECT_EQ(estimate.sweep, absl::Seconds(12));
  EXPECT_EQ(estimate.jobs.at("s1/gru/0"), absl::Seconds(12));
}

TEST(EstimateTest, TakesOtherFoldsOfTheModelBeforeOtherModels) {
  const std::vector<v1::Job> jobs = {
      MakeJob("gru", 0, v1::Job::SUCCEEDED, 10, 2),
      MakeJob("vit", 0, v1::Job::SUCCEEDED, 10, 100),
      MakeJob("gru", 1, v1::Job::RUNNING, 0)};
  EXPECT_EQ(EstimateRemaining(jobs).sweep, absl::Seconds(20));
}

TEST(EstimateTest, GivesWaitingJobsToWhateverIsFreeFirst) {
  // Two lanes: 10 s and 20 s left; three jobs of 20 s wait. 10 + 20 = 30,
  // 20 + 20 = 40, 30 + 20 = 50.
  const std::vector<v1::Job> jobs = {MakeJob("gru", 0, v1::Job::RUNNING, 5, 2),
                                     MakeJob("gru", 1, v1::Job::RUNNING, 0, 2),
                                     MakeJob("gru", 2, v1::Job::PENDING, 0),
                                     MakeJob("gru", 3, v1::Job::PENDING, 0),
                                     MakeJob("gru", 4, v1::Job::PENDING, 0)};
  EXPECT_EQ(EstimateRemaining(jobs).sweep, absl::Seconds(50));
}

TEST(EstimateTest, MeasuresAFinishedJobThatDoesNotSay) {
  v1::Job done = MakeJob("gru", 0, v1::Job::SUCCEEDED, 10);
  done.set_attempt_count(1);
  done.mutable_start_time()->set_seconds(1000);
  done.mutable_end_time()->set_seconds(1050);
  const std::vector<v1::Job> jobs = {done,
                                     MakeJob("gru", 1, v1::Job::RUNNING, 0)};
  EXPECT_EQ(EstimateRemaining(jobs).sweep, absl::Seconds(50));
}

}  // namespace
}  // namespace foldfarm
