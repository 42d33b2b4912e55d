#include "coordinator/cli/eta.h"

#include <vector>

#include "gtest/gtest.h"

namespace foldfarm {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(10'000);

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
  if (state == v1::Job::RUNNING) {
    job.set_worker("w");
    job.set_attempt_count(1);
    // At the very beginning of its next epoch.
    job.mutable_start_time()->set_seconds(
        static_cast<int64_t>(10'000 - epoch * seconds_per_epoch));
  }
  return job;
}

v1::Worker MakeWorker(const std::string& name, int slots, int busy = 0) {
  v1::Worker worker;
  worker.set_name(name);
  worker.set_state(v1::Worker::ONLINE);
  worker.set_slots(slots);
  worker.set_busy_slots(busy);
  return worker;
}

// Without the time around epochs, to be able to count.
Estimate Of(const std::vector<v1::Job>& jobs,
            const std::vector<v1::Worker>& workers = {}) {
  EtaInput input;
  input.jobs = jobs;
  input.now = kNow;
  input.workers = workers;
  input.prediction_epochs = 0;
  return EstimateRemaining(input);
}

double Seconds(const TimeLeft& left) {
  return absl::ToDoubleSeconds(left.likely);
}

TEST(EstimateTest, IsUnknownBeforeTheFirstEpoch) {
  EXPECT_FALSE(Of({MakeJob("gru", 0, v1::Job::RUNNING, 0)}).sweep.known());
}

TEST(EstimateTest, IsUnknownWhileNobodyWouldRunTheRest) {
  const std::vector<v1::Job> jobs = {
      MakeJob("gru", 0, v1::Job::SUCCEEDED, 10, 2),
      MakeJob("gru", 1, v1::Job::PENDING, 0)};
  EXPECT_FALSE(Of(jobs).sweep.known());
  v1::Worker offline = MakeWorker("w", 2);
  offline.set_state(v1::Worker::OFFLINE);
  EXPECT_FALSE(Of(jobs, {offline}).sweep.known());
  EXPECT_NEAR(Seconds(Of(jobs, {MakeWorker("w", 2)}).sweep), 20, 1);
}

TEST(EstimateTest, IsZeroWhenAllJobsAreFinal) {
  const Estimate estimate = Of({MakeJob("gru", 0, v1::Job::SUCCEEDED, 10, 2),
                                MakeJob("gru", 1, v1::Job::FAILED, 3)});
  EXPECT_EQ(estimate.sweep.likely, absl::ZeroDuration());
  EXPECT_EQ(LeftText(estimate.sweep), "");
}

TEST(EstimateTest, TakesARunningJobsOwnEpochs) {
  const Estimate estimate = Of({MakeJob("gru", 0, v1::Job::RUNNING, 4, 2)});
  EXPECT_NEAR(Seconds(estimate.sweep), 12, 1);
  EXPECT_EQ(estimate.jobs.at("s1/gru/0").likely, estimate.sweep.likely);
  EXPECT_EQ(estimate.models.at("gru").likely, estimate.sweep.likely);
}

TEST(EstimateTest, CountsHowFarTheEpochIsThatGoesOn) {
  v1::Job job = MakeJob("gru", 0, v1::Job::RUNNING, 4, 20);
  const double at_its_beginning = Seconds(Of({job}).sweep);
  job.mutable_start_time()->set_seconds(job.start_time().seconds() - 15);
  EXPECT_NEAR(Seconds(Of({job}).sweep), at_its_beginning - 15, 1);
}

TEST(EstimateTest, TakesOtherFoldsOfTheModelBeforeOtherModels) {
  EXPECT_NEAR(Seconds(Of({MakeJob("gru", 0, v1::Job::SUCCEEDED, 10, 2),
                          MakeJob("vit", 0, v1::Job::SUCCEEDED, 10, 100),
                          MakeJob("gru", 1, v1::Job::RUNNING, 0)})
                          .sweep),
              20, 2);
}

TEST(EstimateTest, GivesWaitingJobsToWhateverIsFreeFirst) {
  // Two slots: 10 s and 20 s left; three jobs of 20 s wait. 10 + 20 = 30,
  // 20 + 20 = 40, 30 + 20 = 50.
  EXPECT_NEAR(Seconds(Of({MakeJob("gru", 0, v1::Job::RUNNING, 5, 2),
                          MakeJob("gru", 1, v1::Job::RUNNING, 0, 2),
                          MakeJob("gru", 2, v1::Job::PENDING, 0),
                          MakeJob("gru", 3, v1::Job::PENDING, 0),
                          MakeJob("gru", 4, v1::Job::PENDING, 0)})
                          .sweep),
              50, 2);
}

TEST(EstimateTest, CountsFreeSlotsButNotThoseOfOtherSweeps) {
  const std::vector<v1::Job> jobs = {MakeJob("gru", 0, v1::Job::RUNNING, 5, 2),
                                     MakeJob("gru", 1, v1::Job::PENDING, 0),
                                     MakeJob("gru", 2, v1::Job::PENDING, 0)};
  v1::Worker worker = MakeWorker("w", 3, 1);
  worker.add_jobs("s1/gru/0");
  EXPECT_NEAR(Seconds(Of(jobs, {worker}).sweep), 20, 1);
  // Two slots belong to another sweep: 10 + 20 + 20.
  worker.set_busy_slots(3);
  worker.add_jobs("s2/vit/0");
  EXPECT_NEAR(Seconds(Of(jobs, {worker}).sweep), 50, 2);
}

TEST(EstimateTest, AWorkerThatDrainsTakesNothingNew) {
  const std::vector<v1::Job> jobs = {MakeJob("gru", 0, v1::Job::RUNNING, 5, 2),
                                     MakeJob("gru", 1, v1::Job::PENDING, 0)};
  v1::Worker draining = MakeWorker("w", 1, 1);
  draining.add_jobs("s1/gru/0");
  draining.set_state(v1::Worker::DRAINING);
  EXPECT_FALSE(Of(jobs, {draining}).sweep.known());
}

TEST(EstimateTest, AJobOfTwoSlotsWaitsForBoth) {
  v1::Job wide = MakeJob("wide", 0, v1::Job::PENDING, 0);
  wide.set_slots(2);
  v1::Worker worker = MakeWorker("w", 2, 2);
  worker.add_jobs("s1/gru/0");
  worker.add_jobs("s1/gru/1");
  // Slots are free after 4 s and 16 s; a usual job then takes 20 s.
  EXPECT_NEAR(Seconds(Of({MakeJob("gru", 0, v1::Job::RUNNING, 8, 2),
                          MakeJob("gru", 1, v1::Job::RUNNING, 2, 2), wide},
                         {worker})
                          .sweep),
              36, 2);
}

TEST(EstimateTest, WaitsOutABackoff) {
  v1::Job again = MakeJob("gru", 1, v1::Job::PENDING, 0);
  again.mutable_not_before_time()->set_seconds(10'100);
  EXPECT_NEAR(Seconds(Of({MakeJob("gru", 0, v1::Job::SUCCEEDED, 10, 2), again},
                         {MakeWorker("w", 1)})
                          .sweep),
              120, 1);
}

TEST(EstimateTest, MeasuresAFinishedJobThatDoesNotSay) {
  v1::Job done = MakeJob("gru", 0, v1::Job::SUCCEEDED, 10);
  done.set_attempt_count(1);
  done.mutable_start_time()->set_seconds(1000);
  done.mutable_end_time()->set_seconds(1050);
  EXPECT_NEAR(Seconds(Of({done, MakeJob("gru", 1, v1::Job::RUNNING, 0)}).sweep),
              50, 2);
}

TEST(EstimateTest, ExpectsJobsToStopAsEarlyAsOthersDid) {
  v1::Job early = MakeJob("gru", 0, v1::Job::SUCCEEDED, 5, 2);
  EXPECT_NEAR(
      Seconds(Of({early, MakeJob("gru", 1, v1::Job::RUNNING, 0)}).sweep), 10,
      1);
}

TEST(EstimateTest, AddsThePredictionAtTheEnd) {
  const std::vector<v1::Job> jobs = {
      MakeJob("gru", 0, v1::Job::RUNNING, 4, 20)};
  EtaInput input;
  input.jobs = jobs;
  input.now = kNow;
  input.prediction_epochs = PredictionEpochs(16, 5);
  EXPECT_NEAR(Seconds(EstimateRemaining(input).sweep) - Seconds(Of(jobs).sweep),
              20 * 16 / 12.0, 1);
}

TEST(PredictionEpochsTest, ComparesDrawsWithSteps) {
  EXPECT_DOUBLE_EQ(PredictionEpochs(0, 4), 0);
  EXPECT_DOUBLE_EQ(PredictionEpochs(9, 4), 1);
  EXPECT_DOUBLE_EQ(PredictionEpochs(3, 1), 1);  // A hold-out.
}

TimeLeft Left(double low, double likely, double high) {
  return {absl::Seconds(likely), absl::Seconds(low), absl::Seconds(high)};
}

TEST(LeftTextTest, IsAsExactAsWhatIsKnown) {
  EXPECT_EQ(LeftText(Left(700, 725, 760)), "12m 05s left");
  EXPECT_EQ(LeftText(Left(600, 725, 900)), "about 12m left");
  EXPECT_EQ(LeftText(Left(480, 725, 1500)), "8m to 25m left");
  EXPECT_EQ(LeftText(TimeLeft()), "");
  EXPECT_EQ(ShortLeftText(Left(700, 725, 760)), "12m 05s");
  EXPECT_EQ(ShortLeftText(Left(480, 725, 1500)), "~12m");
  EXPECT_EQ(ShortLeftText(TimeLeft()), "");
}

}  // namespace
}  // namespace foldfarm
