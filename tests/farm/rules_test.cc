// Sweeps that decide for themselves, with real coordinator, workers and
// sockets; what a trainer predicts is named by the model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/rpc/channel.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Jobs = TestCluster::Jobs;
using Farm = v1::FarmService::StubInterface;

class RulesTest : public ::testing::Test {
 protected:
  RulesTest() {
    auto cluster = TestCluster::Start({});
    EXPECT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    EXPECT_TRUE(cluster_->AddDataset("tiny", 24).ok());
    EXPECT_TRUE(cluster_->StartWorker("one", {"--slots", "1"}).ok());
  }

  // `rules`: lines of the sweep file.
  std::string Submit(absl::string_view rules,
                     const std::vector<std::string>& models) {
    std::string yaml = absl::StrCat("name: test\nfolds: {count: 3}\ntta: 1\n",
                                    rules, "models:\n");
    for (const std::string& model : models) {
      absl::StrAppend(&yaml, "  - {name: ", model, ", arch: {none: {}}}\n");
    }
    const auto sweep = cluster_->Submit(yaml, "tiny");
    EXPECT_TRUE(sweep.ok()) << sweep.status();
    return sweep.value_or("");
  }

  Jobs WaitForEnd(const std::string& sweep, size_t count) {
    const auto jobs = cluster_->WaitForJobs(sweep, [&](const Jobs& now) {
      for (const auto& [name, job] : now) {
        if (job.state() == v1::Job::PENDING || job.state() == v1::Job::RUNNING)
          return false;
      }
      return now.size() == count;
    });
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    return jobs.value_or(Jobs());
  }

  v1::Sweep GetSweep(const std::string& sweep) {
    v1::GetSweepRequest request;
    request.set_sweep(sweep);
    const auto reply = UnaryCall(cluster_->farm(), &Farm::GetSweep, request,
                                 absl::Seconds(10));
    EXPECT_TRUE(reply.ok()) << reply.status();
    return reply.value_or(v1::Sweep());
  }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(RulesTest, ScreeningTrainsOneFoldOfAllAndTheRestOfTheBest) {
  ASSERT_TRUE(cluster_->StartWorker("two", {"--slots", "1"}).ok());
  // The trial lasts until "wait" is cancelled, so that it can be watched, and
  // survived.
  const std::string sweep = Submit(
      "screen: {fold: 1, keep: 2, by: [log_loss]}\n",
      {"bad.a", "good.a", "bad.b", "good.b", "bad_configuration", "wait"});
  const auto trial = cluster_->WaitForJobs(sweep, [](const Jobs& jobs) {
    return jobs.size() == 18 &&
           jobs.at("bad.a/1").state() == v1::Job::SUCCEEDED &&
           jobs.at("good.b/1").state() == v1::Job::SUCCEEDED &&
           jobs.at("wait/1").epoch() > 0;
  });
  ASSERT_TRUE(trial.ok()) << trial.status();
  const auto held = cluster_->GetJob(absl::StrCat(sweep, "/good.a/0"));
  ASSERT_TRUE(held.ok()) << held.status();
  EXPECT_EQ(held->job().state(), v1::Job::PENDING);
  EXPECT_THAT(held->job().waiting_reason(),
              StartsWith("screened: waits for fold 1 of "));
  cluster_->KillCoordinator();
  ASSERT_TRUE(cluster_->StartCoordinator().ok());
  const std::string last = absl::StrCat(sweep, "/wait/1");
  const auto back = cluster_->WaitForJob(last, [](const auto& now) {
    return now.job().state() == v1::Job::RUNNING;
  });
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*cluster_->Cancel(last), 1);

  const Jobs jobs = WaitForEnd(sweep, 18);
  for (const char* fold : {"0", "2"}) {
    for (const char* model : {"good.a/", "good.b/"}) {
      const v1::Job& job = jobs.at(absl::StrCat(model, fold));
      EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.name();
      EXPECT_EQ(job.attempt_count(), 1) << job.name();
    }
    for (const char* model : {"bad.a/", "bad.b/"}) {
      const v1::Job& job = jobs.at(absl::StrCat(model, fold));
      EXPECT_EQ(job.state(), v1::Job::CANCELLED) << job.name();
      EXPECT_EQ(job.attempt_count(), 0) << job.name();
      EXPECT_THAT(job.error(), HasSubstr("not kept by screening: rank "));
      EXPECT_THAT(job.error(), HasSubstr(" of 4, log loss 0.51"));
    }
    EXPECT_EQ(jobs.at(absl::StrCat("wait/", fold)).error(),
              "not kept by screening: fold 1 was cancelled");
    EXPECT_EQ(jobs.at(absl::StrCat("bad_configuration/", fold)).error(),
              "not kept by screening: fold 1 failed");
  }
  const v1::Sweep done = GetSweep(sweep);
  EXPECT_EQ(done.note(), "screened: 2 of 6 models go on");
  EXPECT_EQ(done.state(), v1::Sweep::FAILED) << "one job did fail";
}

TEST_F(RulesTest, ASweepStopsOnceModelsDoNotHelpAndThatIsASuccess) {
  const std::string sweep = Submit(
      "order: model_major\n"
      "stop_when: {ensemble_gain_below: 0.0002, for_models: 2}\n",
      {"bad.a", "good.a", "good.b", "bad.b", "bad.c", "wait.d", "good.e",
       "good.f", "good.g", "good.h", "good.i"});
  const Jobs jobs = WaitForEnd(sweep, 33);
  // good.b still helps a mean with bad.a in it; bad.b and bad.c harm.
  for (const char* model : {"bad.a/", "good.a/", "good.b/"}) {
    for (const char* fold : {"0", "1", "2"}) {
      EXPECT_EQ(jobs.at(absl::StrCat(model, fold)).state(), v1::Job::SUCCEEDED);
    }
  }
  const std::string note = "stopped: the last 2 models gained less than 0.0002";
  // The one worker took it with the end of bad.c, and it ends only when told.
  EXPECT_EQ(jobs.at("wait.d/0").state(), v1::Job::CANCELLED);
  EXPECT_EQ(jobs.at("wait.d/0").attempt_count(), 1);
  EXPECT_EQ(jobs.at("wait.d/0").error(), note);
  const v1::Sweep done = GetSweep(sweep);
  EXPECT_EQ(done.note(), note);
  EXPECT_EQ(done.state(), v1::Sweep::SUCCEEDED);
  EXPECT_GT(done.cancelled(), 0);
  EXPECT_TRUE(cluster_->WaitForNoTrainers());
}

}  // namespace
}  // namespace foldfarm
