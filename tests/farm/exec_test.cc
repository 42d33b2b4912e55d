// Users' programs on the whole farm: the numpy example that is shipped, real
// coordinator, real workers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/channel.h"
#include "common/rpc/retry.h"
#include "common/sweep/sweep.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Jobs = TestCluster::Jobs;

constexpr char kExamples[] = FOLDFARM_SOURCE_DIR "/deploy/sweeps/exec";
constexpr char kPython[] = "/usr/bin/python3";

// A program that predicts for all but one of its samples.
constexpr char kForgetful[] = R"(import foldfarm_attempt
def train(attempt):
    print("forgetting one", flush=True)
    attempt.started(1)
    attempt.validation = attempt.validation[1:]
    attempt.finish([[0.5] * len(attempt.labels)] * len(attempt.validation))
foldfarm_attempt.run(train)
)";

class ExecTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::system("/usr/bin/python3 -c 'import numpy' 2>/dev/null") != 0) {
      GTEST_SKIP() << kPython << " has no numpy: install python3-numpy";
    }
    auto cluster = TestCluster::Start({});
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    const absl::Status added = cluster_->AddDataset("tiny", 16);
    ASSERT_TRUE(added.ok()) << added;
  }

  void StartWorker(const std::string& name, bool allow_exec = true) {
    const absl::Status status = cluster_->StartWorker(
        name, allow_exec ? std::vector<std::string>{"--allow-exec"}
                         : std::vector<std::string>{});
    ASSERT_TRUE(status.ok()) << status;
  }

  // Submits a model "mine" of two folds that runs `program` with `config`; the
  // example's files come with it, and "forgetful.py".
  std::string Submit(const std::string& program, const std::string& config,
                     const std::string& more_exec = "",
                     const std::string& more_models = "",
                     const std::vector<std::string>& labels = {}) {
    auto spec = ParseSweep(
        absl::StrCat("name: test\nfolds: {count: 2}\ntta: 2\nmodels:\n",
                     "  - {name: mine, arch: {exec: {command: [", kPython, ", ",
                     program, "], config: {", config, "}", more_exec, "}}}\n",
                     more_models),
        "sweep.yaml");
    EXPECT_TRUE(spec.ok()) << spec.status();
    if (!spec.ok()) return "";
    spec->mutable_models(0)->mutable_labels()->Assign(labels.begin(),
                                                      labels.end());
    v1::ExecSpec& exec =
        *spec->mutable_models(0)->mutable_arch()->mutable_exec();
    for (const char* name :
         {"ridge.py", "foldfarm_attempt.py", "band_maxima.py",
          "lightgbm_trees.py", "forgetful.py"}) {
      const std::string bytes =
          name == std::string("forgetful.py")
              ? kForgetful
              : ReadFile(JoinPath(kExamples, name)).value();
      const auto artifact = UploadBytes(cluster_->artifacts(), bytes, name);
      EXPECT_TRUE(artifact.ok()) << artifact.status();
      exec.add_files(name);
      v1::ExecFile& file = *exec.add_uploaded();
      file.set_name(name);
      file.set_digest(artifact->digest());
      file.set_size_bytes(static_cast<int32_t>(bytes.size()));
    }
    const auto sweep = cluster_->Submit(*spec, "tiny");
    EXPECT_TRUE(sweep.ok()) << sweep.status();
    return sweep.value_or("");
  }

  Jobs WaitForAll(const std::string& sweep, size_t count,
                  v1::Job::State state) {
    const auto jobs = cluster_->WaitForJobs(sweep, [&](const Jobs& now) {
      size_t in_state = 0;
      for (const auto& [name, job] : now) in_state += job.state() == state;
      return in_state == count;
    });
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    return jobs.value_or(Jobs());
  }

  v1::GetJobResponse WaitForJob(
      const std::string& job,
      const std::function<bool(const v1::GetJobResponse&)>& condition) {
    const auto response = cluster_->WaitForJob(job, condition);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.value_or(v1::GetJobResponse());
  }

  static bool TrainsWithCheckpoint(const v1::GetJobResponse& now) {
    return now.job().state() == v1::Job::RUNNING && now.checkpoint_epoch() > 0;
  }
  static bool FailedOnce(const v1::GetJobResponse& now) {
    return now.attempts_size() > 0 &&
           now.attempts(0).state() == v1::Attempt::FAILED;
  }

  // The programs under this cluster's supervisors.
  std::vector<int> Programs() const {
    const std::vector<int> supervisors = cluster_->Trainers();
    std::vector<int> programs;
    const auto names = ListDirectory("/proc");
    for (const std::string& name : *names) {
      int pid = 0;
      int parent = 0;
      const auto text = ReadFile(absl::StrCat("/proc/", name, "/stat"));
      if (!absl::SimpleAtoi(name, &pid) || !text.ok()) continue;
      const std::vector<std::string> fields =
          absl::StrSplit(text->substr(text->rfind(')') + 1), ' ');
      if (!absl::SimpleAtoi(fields[2], &parent)) continue;
      if (std::count(supervisors.begin(), supervisors.end(), parent) > 0) {
        programs.push_back(pid);
      }
    }
    return programs;
  }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(ExecTest, TheNumpyExampleTrainsAndCountsInTheEnsemble) {
  StartWorker("one");
  const std::string sweep = Submit("ridge.py", "epochs: 7");
  WaitForAll(sweep, 2, v1::Job::SUCCEEDED);
  const auto job = cluster_->GetJob(absl::StrCat(sweep, "/mine/0"));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->job().epoch(), 7) << "as it said itself";
  EXPECT_THAT(job->artifacts(), SizeIs(2));
  const auto metrics = cluster_->GetMetrics(absl::StrCat(sweep, "/mine/0"));
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_EQ(metrics->epochs_size(), 7);

  v1::GetEnsembleRequest request;
  request.set_sweep(sweep);
  const auto ensemble =
      UnaryCall(cluster_->farm(), &v1::FarmService::StubInterface::GetEnsemble,
                request, absl::Seconds(10));
  ASSERT_TRUE(ensemble.ok()) << ensemble.status();
  ASSERT_EQ(ensemble->models_size(), 1);
  EXPECT_EQ(ensemble->models(0).model(), "mine");
  EXPECT_GT(ensemble->ensemble().log_loss(), 0);
}

TEST_F(ExecTest, OnlyAWorkerThatAllowsItGetsAProgram) {
  StartWorker("plain", /*allow_exec=*/false);
  const std::string sweep =
      Submit("ridge.py", "epochs: 2", "",
             "  - {name: succeed, arch: {conv1d: {widths: [4]}}}\n");
  WaitForAll(sweep, 2, v1::Job::SUCCEEDED);
  const auto waiting = cluster_->GetJob(absl::StrCat(sweep, "/mine/0"));
  ASSERT_TRUE(waiting.ok()) << waiting.status();
  EXPECT_EQ(waiting->job().state(), v1::Job::PENDING);
  EXPECT_THAT(waiting->attempts(), SizeIs(0));
  EXPECT_THAT(waiting->job().waiting_reason(), HasSubstr("--allow-exec"));

  StartWorker("generous");
  for (const auto& [name, job] : WaitForAll(sweep, 4, v1::Job::SUCCEEDED)) {
    if (!absl::StartsWith(name, "mine")) continue;
    EXPECT_EQ(job.worker(), "generous");
  }
}

TEST_F(ExecTest, ACancelReachesTheProgram) {
  StartWorker("one");
  const std::string sweep =
      Submit("ridge.py", "epochs: 100000, seconds_per_epoch: 0.02");
  const std::string job = absl::StrCat(sweep, "/mine/0");
  WaitForJob(
      job, [](const v1::GetJobResponse& now) { return now.job().epoch() > 0; });
  ASSERT_THAT(Programs(), SizeIs(1));
  const int program = Programs()[0];
  ASSERT_TRUE(cluster_->Cancel(sweep).ok());
  WaitForAll(sweep, 2, v1::Job::CANCELLED);
  EXPECT_TRUE(cluster_->WaitForNoTrainers());
  EXPECT_EQ(kill(program, 0), -1);
}

TEST_F(ExecTest, AKilledProgramIsTriedAgainFromItsCheckpoint) {
  StartWorker("one");
  const std::string sweep = Submit(
      "ridge.py", "epochs: 60, seconds_per_epoch: 0.03, checkpoint_every: 5");
  const std::string job = absl::StrCat(sweep, "/mine/0");
  const int reached = WaitForJob(job, TrainsWithCheckpoint).checkpoint_epoch();
  ASSERT_THAT(Programs(), SizeIs(1));
  ASSERT_EQ(kill(Programs()[0], SIGKILL), 0);
  const auto done = WaitForJob(job, [](const v1::GetJobResponse& now) {
    return now.job().state() == v1::Job::SUCCEEDED;
  });
  ASSERT_EQ(done.attempts_size(), 2);
  EXPECT_EQ(done.attempts(0).state(), v1::Attempt::FAILED);
  EXPECT_THAT(done.attempts(0).error(),
              HasSubstr("ridge.py\" died of signal 9"));
  EXPECT_GE(done.attempts(1).resumed_epoch(), reached);
  const auto metrics = cluster_->GetMetrics(job);
  ASSERT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_EQ(metrics->epochs_size(), 60) << "each epoch once";
}

TEST_F(ExecTest, AProgramDiesWithItsWorkerAndGoesOnElsewhere) {
  StartWorker("one");
  const std::string sweep = Submit(
      "ridge.py", "epochs: 60, seconds_per_epoch: 0.03, checkpoint_every: 5");
  const std::string job = absl::StrCat(sweep, "/mine/0");
  WaitForJob(job, TrainsWithCheckpoint);
  cluster_->KillWorker("one");
  EXPECT_TRUE(cluster_->WaitForNoTrainers());
  StartWorker("two");
  const auto done = WaitForJob(job, [](const v1::GetJobResponse& now) {
    return now.job().state() == v1::Job::SUCCEEDED;
  });
  EXPECT_GT(done.attempts(done.attempts_size() - 1).resumed_epoch(), 0);
  EXPECT_EQ(done.job().failed_count(), 0);
}

TEST_F(ExecTest, AProgramThatRunsTooLongFailsItsAttempt) {
  StartWorker("one");
  const std::string sweep =
      Submit("ridge.py", "epochs: 100000, seconds_per_epoch: 0.02",
             ", timeout_minutes: 0.02");
  const auto job = WaitForJob(absl::StrCat(sweep, "/mine/0"), FailedOnce);
  EXPECT_THAT(job.attempts(0).error(), HasSubstr("timeout_minutes"));
  EXPECT_GT(job.checkpoint_epoch(), 0) << "the next attempt goes on";
  ASSERT_TRUE(cluster_->Cancel(sweep).ok());
}

TEST_F(ExecTest, PredictionsForTheWrongSamplesAreRefused) {
  StartWorker("one");
  const std::string sweep = Submit("forgetful.py", "");
  const auto job = WaitForJob(absl::StrCat(sweep, "/mine/0"), FailedOnce);
  EXPECT_THAT(job.attempts(0).error(), HasSubstr("is missing: got 7 of 8"));
  EXPECT_THAT(job.attempts(0).log_tail(), Contains("forgetting one"));
  ASSERT_TRUE(cluster_->Cancel(sweep).ok());
}

TEST_F(ExecTest, LabelsMayBeNamedInAnyOrder) {
  StartWorker("one");
  WaitForAll(Submit("ridge.py", "", "", "", {"b", "a"}), 2, v1::Job::SUCCEEDED);
}

TEST_F(ExecTest, AConfigurationThatItsProgramRefusesFailsForGood) {
  StartWorker("one");
  const std::string sweep = Submit("ridge.py", "l2: -1");
  const Jobs jobs = WaitForAll(sweep, 2, v1::Job::FAILED);
  for (const auto& [name, job] : jobs) {
    EXPECT_EQ(job.attempt_count(), 1);
    EXPECT_THAT(job.error(), HasSubstr("config.l2 is -1, expected 0 to 1000"));
  }
}

TEST_F(ExecTest, TheLightgbmExampleSaysWhenItIsNotInstalled) {
  const bool installed =
      std::system("/usr/bin/python3 -c 'import lightgbm' 2>/dev/null") == 0;
  StartWorker("one");
  const std::string sweep = Submit("lightgbm_trees.py", "rounds: 2");
  const Jobs jobs =
      WaitForAll(sweep, 2, installed ? v1::Job::SUCCEEDED : v1::Job::FAILED);
  for (const auto& [name, job] : jobs) {
    EXPECT_EQ(job.attempt_count(), 1);
    if (installed) continue;
    EXPECT_THAT(job.error(), HasSubstr("lightgbm is not installed for"));
  }
}

}  // namespace
}  // namespace foldfarm
