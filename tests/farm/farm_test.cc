// The whole farm: real coordinator, real workers, real sockets, and two kinds
// of trainer: the real one, and one that only speaks the attempt contract.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/sweep/sweep.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Jobs = TestCluster::Jobs;

// A sweep of models that train for `epochs` and leave a checkpoint every
// `checkpoint_epochs`.
std::string Sweep(int folds, int epochs, int checkpoint_epochs,
                  const std::vector<std::string>& models) {
  std::string yaml =
      absl::StrCat("name: test\nfolds: {count: ", folds,
                   "}\ntta: 2\ndefaults:\n  train: {batch: 4, epochs: ", epochs,
                   ", checkpoint_epochs: ", checkpoint_epochs,
                   ", validate_every: 10}\nmodels:\n");
  for (const std::string& model : models) {
    absl::StrAppend(&yaml, "  - {name: ", model,
                    ", arch: {conv1d: {widths: [4], kernel: 3}}}\n");
  }
  return yaml;
}

bool AllIn(const Jobs& jobs, size_t count, v1::Job::State state) {
  return jobs.size() == count &&
         std::all_of(jobs.begin(), jobs.end(), [&](const auto& job) {
           return job.second.state() == state;
         });
}

class FarmTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string trainer = GetParam();
    const std::string program = JoinPath(FOLDFARM_BIN_DIR, trainer);
    if (!FileExists(program)) {
      GTEST_SKIP() << program << " was not built (FOLDFARM_TRAINER=OFF?)";
    }
    TestClusterOptions options;
    options.trainer = trainer;
    Start(options);
  }

  void Start(const TestClusterOptions& options) {
    auto cluster = TestCluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    const absl::Status added = cluster_->AddDataset("tiny", 16);
    ASSERT_TRUE(added.ok()) << added;
  }

  void StartWorkers(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const absl::Status status = cluster_->StartWorker(name);
      ASSERT_TRUE(status.ok()) << status;
    }
  }

  std::string Submit(const std::string& yaml) {
    const auto sweep = cluster_->Submit(yaml, "tiny");
    EXPECT_TRUE(sweep.ok()) << sweep.status();
    return sweep.value_or("");
  }

  Jobs WaitForAll(const std::string& sweep, size_t count,
                  v1::Job::State state) {
    const auto jobs = cluster_->WaitForJobs(
        sweep, [&](const Jobs& now) { return AllIn(now, count, state); });
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    return jobs.value_or(Jobs());
  }

  // Waits until the job has a stored checkpoint and trains on behind it.
  v1::GetJobResponse WaitForCheckpoint(const std::string& job) {
    const auto response =
        cluster_->WaitForJob(job, [](const v1::GetJobResponse& now) {
          return now.job().state() == v1::Job::RUNNING &&
                 now.checkpoint_epoch() > 0;
        });
    EXPECT_TRUE(response.ok()) << response.status();
    return response.value_or(v1::GetJobResponse());
  }

  v1::GetJobResponse WaitForSuccess(const std::string& job) {
    const auto response =
        cluster_->WaitForJob(job, [](const v1::GetJobResponse& now) {
          return now.job().state() == v1::Job::SUCCEEDED;
        });
    EXPECT_TRUE(response.ok()) << response.status();
    return response.value_or(v1::GetJobResponse());
  }

  // Every epoch from 1 to `epochs` was stored exactly once.
  void ExpectGaplessMetrics(const std::string& job, int epochs) {
    const auto metrics = cluster_->GetMetrics(job);
    ASSERT_TRUE(metrics.ok()) << metrics.status();
    ASSERT_EQ(metrics->epochs_size(), epochs) << job;
    for (int i = 0; i < epochs; ++i) {
      EXPECT_EQ(metrics->epochs(i).epoch(), i + 1) << job;
    }
    EXPECT_EQ(metrics->result().count("log_loss"), 1u) << job;
  }

  // One attempt trained every epoch. A lease whose grant was lost on the way
  // may have been handed back before; that costs nothing.
  void ExpectTrainedOnce(const v1::Job& job) {
    EXPECT_EQ(job.lost_count(), 0) << job.name();
    EXPECT_EQ(job.failed_count(), 0) << job.name();
    const auto metrics = cluster_->GetMetrics(job.name());
    ASSERT_TRUE(metrics.ok()) << metrics.status();
    std::set<int64_t> tokens;
    for (const auto& epoch : metrics->epochs()) tokens.insert(epoch.token());
    EXPECT_EQ(tokens.size(), 1u) << job.name() << " was trained again";
  }

  // Epochs that take seconds, so that a job is still at it when a test lays
  // hands on it: the other trainer waits on purpose, the real one needs a few
  // milliseconds an epoch.
  static int LongEpochs() {
    return absl::string_view(GetParam()) == "foldfarm-trainer" ? 900 : 160;
  }
  static std::string LongSweep() {
    return Sweep(2, LongEpochs(), LongEpochs() / 32, {"slow.a"});
  }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_P(FarmTest, TwoWorkersTrainASweepToTheEnd) {
  StartWorkers({"one", "two"});
  const std::string sweep = Submit(Sweep(2, 12, 5, {"slow.a", "slow.b"}));
  const Jobs jobs = WaitForAll(sweep, 4, v1::Job::SUCCEEDED);
  std::set<std::string> workers;
  for (const auto& [name, job] : jobs) {
    ExpectTrainedOnce(job);
    ExpectGaplessMetrics(job.name(), 12);
    workers.insert(job.worker());
  }
  EXPECT_THAT(workers, Contains("one"));
  EXPECT_THAT(workers, Contains("two"));

  // Out-of-fold: every sample once.
  grpc::ClientContext context;
  v1::GetOofRequest request;
  request.set_sweep(sweep);
  const auto reader = cluster_->farm().GetOof(&context, request);
  std::map<std::string, int> rows;
  v1::GetOofResponse response;
  while (reader->Read(&response)) {
    for (const auto& row : response.rows()) ++rows[row.sample_id()];
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(rows.size(), 16u);
  for (const auto& [sample, times] : rows) EXPECT_EQ(times, 1) << sample;
  EXPECT_TRUE(cluster_->WaitForNoTrainers());
}

TEST_P(FarmTest, AJobOfAKilledWorkerGoesOnElsewhereFromItsCheckpoint) {
  StartWorkers({"doomed"});
  const std::string sweep = Submit(LongSweep());
  const std::string job = absl::StrCat(sweep, "/slow.a/0");
  WaitForCheckpoint(job);
  EXPECT_EQ(cluster_->Trainers().size(), 1u);
  cluster_->KillWorker("doomed");
  EXPECT_TRUE(cluster_->WaitForNoTrainers()) << "a trainer outlived its worker";

  StartWorkers({"heir"});
  const v1::GetJobResponse done = WaitForSuccess(job);
  ASSERT_EQ(done.attempts_size(), 2);
  EXPECT_EQ(done.attempts(0).state(), v1::Attempt::LOST);
  EXPECT_EQ(done.attempts(0).worker(), "doomed");
  EXPECT_EQ(done.attempts(1).state(), v1::Attempt::SUCCEEDED);
  EXPECT_EQ(done.attempts(1).worker(), "heir");
  EXPECT_GT(done.attempts(1).resumed_epoch(), 0);
  EXPECT_EQ(done.job().lost_count(), 1);
  ExpectGaplessMetrics(job, LongEpochs());
}

TEST_P(FarmTest, AWorkerThatWasFrozenPastItsLeaseChangesNothingAnyMore) {
  StartWorkers({"frozen"});
  const std::string sweep = Submit(LongSweep());
  const std::string job = absl::StrCat(sweep, "/slow.a/0");
  WaitForCheckpoint(job);
  cluster_->SignalWorker("frozen", SIGSTOP);
  const auto lost =
      cluster_->WaitForJob(job, [](const v1::GetJobResponse& now) {
        return now.attempts(0).state() == v1::Attempt::LOST;
      });
  ASSERT_TRUE(lost.ok()) << lost.status();
  StartWorkers({"heir"});
  const auto taken =
      cluster_->WaitForJob(job, [](const v1::GetJobResponse& now) {
        return now.attempts_size() == 2 && now.attempts(1).worker() == "heir";
      });
  ASSERT_TRUE(taken.ok()) << taken.status();
  cluster_->SignalWorker("frozen", SIGCONT);
  const v1::GetJobResponse done = WaitForSuccess(job);
  ASSERT_EQ(done.attempts_size(), 2);
  EXPECT_EQ(done.attempts(0).state(), v1::Attempt::LOST);
  EXPECT_EQ(done.attempts(1).state(), v1::Attempt::SUCCEEDED);
  EXPECT_EQ(done.attempts(1).worker(), "heir");
  ExpectGaplessMetrics(job, LongEpochs());
}

TEST_P(FarmTest, ARestartedCoordinatorLosesNoWork) {
  StartWorkers({"one", "two"});
  const std::string sweep =
      Submit(Sweep(2, 60, 5, {"slow.a", "slow.b", "slow.c"}));
  const auto mid = cluster_->WaitForJobs(sweep, [](const Jobs& jobs) {
    const auto in = [&](v1::Job::State state) {
      return std::count_if(jobs.begin(), jobs.end(), [&](const auto& job) {
        return job.second.state() == state;
      });
    };
    return in(v1::Job::SUCCEEDED) >= 1 && in(v1::Job::RUNNING) >= 1;
  });
  ASSERT_TRUE(mid.ok()) << mid.status();
  cluster_->KillCoordinator();
  const absl::Status started = cluster_->StartCoordinator();
  ASSERT_TRUE(started.ok()) << started;
  for (const auto& [name, job] : WaitForAll(sweep, 6, v1::Job::SUCCEEDED)) {
    ExpectTrainedOnce(job);
    ExpectGaplessMetrics(job.name(), 60);
  }
}

TEST_P(FarmTest, ACancelledSweepStopsItsTrainers) {
  StartWorkers({"one"});
  const std::string sweep = Submit(Sweep(2, 100'000, 1000, {"slow.a"}));
  const auto running = cluster_->WaitForJobs(sweep, [](const Jobs& jobs) {
    return std::any_of(jobs.begin(), jobs.end(),
                       [](const auto& job) { return job.second.epoch() > 0; });
  });
  ASSERT_TRUE(running.ok()) << running.status();
  EXPECT_EQ(*cluster_->Cancel(sweep), 2);
  WaitForAll(sweep, 2, v1::Job::CANCELLED);
  EXPECT_TRUE(cluster_->WaitForNoTrainers());
}

TEST_P(FarmTest, ADrainedWorkerHandsItsJobBackUncharged) {
  StartWorkers({"leaving"});
  const std::string sweep = Submit(LongSweep());
  const std::string job = absl::StrCat(sweep, "/slow.a/0");
  WaitForCheckpoint(job);
  const ExitState exit = cluster_->StopWorker("leaving");
  EXPECT_EQ(exit.exit_status, 0);
  EXPECT_EQ(exit.signal, 0);
  EXPECT_THAT(cluster_->Trainers(), IsEmpty());
  const auto waiting = cluster_->GetJob(job);
  ASSERT_TRUE(waiting.ok()) << waiting.status();
  EXPECT_EQ(waiting->job().state(), v1::Job::PENDING);
  EXPECT_GE(waiting->checkpoint_epoch(), waiting->job().epoch());

  StartWorkers({"next"});
  const v1::GetJobResponse done = WaitForSuccess(job);
  ASSERT_EQ(done.attempts_size(), 2);
  EXPECT_EQ(done.attempts(0).state(), v1::Attempt::PREEMPTED);
  EXPECT_EQ(done.attempts(1).resumed_epoch(), waiting->checkpoint_epoch())
      << "nothing was trained twice";
  EXPECT_EQ(done.job().failed_count(), 0);
  EXPECT_EQ(done.job().lost_count(), 0);
  ExpectGaplessMetrics(job, LongEpochs());
}

TEST_P(FarmTest, AFinishedSweepIsTrainedOnFromItsLastEpochs) {
  StartWorkers({"one"});
  auto spec = ParseSweep(Sweep(2, 6, 4, {"slow.a"}), "sweep.yaml");
  ASSERT_TRUE(spec.ok()) << spec.status();
  const auto source = cluster_->Submit(*spec, "tiny");
  ASSERT_TRUE(source.ok()) << source.status();
  WaitForAll(*source, 2, v1::Job::SUCCEEDED);
  EXPECT_EQ(
      cluster_->GetJob(absl::StrCat(*source, "/slow.a/0"))->checkpoint_epoch(),
      6);
  spec->set_extends(*source);
  EXPECT_TRUE(absl::IsInvalidArgument(cluster_->Submit(*spec, "tiny").status()))
      << "no more epochs than there are";
  spec->mutable_models(0)->mutable_train()->set_epochs(10);
  const auto extended = cluster_->Submit(*spec, "tiny");
  ASSERT_TRUE(extended.ok()) << extended.status();
  grpc::ClientContext context;
  v1::GetSweepRequest request;
  request.set_sweep(*extended);
  v1::Sweep sweep;
  ASSERT_TRUE(cluster_->farm().GetSweep(&context, request, &sweep).ok());
  EXPECT_EQ(sweep.note(), absl::StrCat("extends ", *source));
  for (const auto& [name, job] : WaitForAll(*extended, 2, v1::Job::SUCCEEDED)) {
    ExpectTrainedOnce(job);
    const auto all = cluster_->GetJob(job.name());
    ASSERT_TRUE(all.ok()) << all.status();
    EXPECT_EQ(all->attempts(0).resumed_epoch(), 6);
    EXPECT_EQ(all->checkpoint_epoch(), 10) << "to be trained on again";
    const auto metrics = cluster_->GetMetrics(job.name());
    ASSERT_TRUE(metrics.ok()) << metrics.status();
    ASSERT_EQ(metrics->epochs_size(), 4) << "those of the source are its own";
    EXPECT_EQ(metrics->epochs(0).epoch(), 7);
    EXPECT_EQ(metrics->result().count("log_loss"), 1u);
  }
}

TEST_P(FarmTest, ABadConfigurationFailsAtOnceAndOthersGoOn) {
  StartWorkers({"one"});
  // The parser would refuse 10 dimensions over 3 heads; a client of its own
  // making did not ask it.
  v1::SweepSpec spec;
  spec.set_name("bad");
  spec.mutable_folds()->set_count(2);
  spec.set_tta(1);
  v1::ModelSpec& bad = *spec.add_models();
  bad.set_name("bad_configuration");
  bad.mutable_arch()->mutable_vit1d()->set_dim(10);
  bad.mutable_arch()->mutable_vit1d()->set_heads(3);
  v1::ModelSpec& good = *spec.add_models();
  good.set_name("succeed");
  good.mutable_train()->set_epochs(1);
  good.mutable_arch()->mutable_none();
  const auto sweep = cluster_->Submit(spec, "tiny");
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  const auto jobs = cluster_->WaitForJobs(*sweep, [](const Jobs& now) {
    return now.size() == 4 &&
           std::all_of(now.begin(), now.end(), [](const auto& job) {
             return job.second.state() == v1::Job::SUCCEEDED ||
                    job.second.state() == v1::Job::FAILED;
           });
  });
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  for (const char* fold : {"0", "1"}) {
    const v1::Job& failed = jobs->at(absl::StrCat("bad_configuration/", fold));
    EXPECT_EQ(failed.state(), v1::Job::FAILED);
    EXPECT_EQ(failed.attempt_count(), 1) << "no second try";
    EXPECT_THAT(failed.error(), HasSubstr("status 64"));
    EXPECT_EQ(jobs->at(absl::StrCat("succeed/", fold)).state(),
              v1::Job::SUCCEEDED);
  }
}

INSTANTIATE_TEST_SUITE_P(Trainers, FarmTest,
                         ::testing::Values("foldfarm-fake-trainer",
                                           "foldfarm-trainer"),
                         [](const auto& info) {
                           return info.index == 0 ? "Fake" : "Real";
                         });

}  // namespace
}  // namespace foldfarm
