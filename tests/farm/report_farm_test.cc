// `foldfarm report` and `foldfarm export` against a farm of real programs.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/subprocess.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class ReportFarmTest : public testing::Test {
 protected:
  void SetUp() override {
    auto cluster = TestCluster::Start({});
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    ASSERT_TRUE(cluster_->AddDataset("tiny", 16).ok());
  }

  // Submits models, each named after what the fake trainer is to do.
  void Submit(const std::vector<std::string>& models) {
    std::string yaml =
        "name: small\nfolds: {count: 2}\ntta: 1\n"
        "defaults: {train: {epochs: 4}}\nmodels:\n";
    for (const std::string& model : models) {
      absl::StrAppend(&yaml, "  - {name: ", model, ", arch: {none: {}}}\n");
    }
    const auto sweep = cluster_->Submit(yaml, "tiny");
    ASSERT_TRUE(sweep.ok()) << sweep.status();
  }
  void WaitUntilFinal(size_t jobs) {
    const auto all =
        cluster_->WaitForJobs("s1", [&](const TestCluster::Jobs& now) {
          return std::count_if(now.begin(), now.end(), [](const auto& job) {
                   return job.second.state() != v1::Job::PENDING &&
                          job.second.state() != v1::Job::RUNNING;
                 }) == static_cast<std::ptrdiff_t>(jobs);
        });
    ASSERT_TRUE(all.ok()) << all.status();
  }

  std::string Path(const std::string& name) const {
    return JoinPath(cluster_->folder(), name);
  }
  // Runs foldfarm; what it said is in `said_`.
  int Foldfarm(std::vector<std::string> words) {
    const std::string log = Path("foldfarm.log");
    const int fd =
        open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    SubprocessOptions options;
    options.argv = {JoinPath(FOLDFARM_BIN_DIR, "foldfarm")};
    options.argv.insert(options.argv.end(), words.begin(), words.end());
    options.argv.push_back("--coordinator");
    options.argv.push_back(cluster_->endpoint());
    options.descriptors = {{1, fd}, {2, fd}};
    auto process = Subprocess::Spawn(options);
    close(fd);
    const ExitState end = (*process)->Wait();
    said_ = ReadFile(log).value_or("");
    return end.signal != 0 ? -end.signal : end.exit_status;
  }

  std::unique_ptr<TestCluster> cluster_;
  std::string said_;
};

TEST_F(ReportFarmTest, AFinishedSweepHasAReportWithWhatFailed) {
  ASSERT_TRUE(cluster_->StartWorker("w1").ok());
  Submit({"succeed.a", "succeed.b", "bad_configuration"});
  WaitUntilFinal(6);
  ASSERT_EQ(Foldfarm({"report", "s1", "--out", Path("r.html")}), 0) << said_;
  EXPECT_THAT(said_, AllOf(HasSubstr("left out: model bad_configuration is not "
                                     "complete on all folds"),
                           HasSubstr("ensemble of 2, log loss 0.6931")));
  const std::string html = ReadFile(Path("r.html")).value_or("");
  // The fake trainer predicts 0.5 for everything: log loss ln 2.
  EXPECT_THAT(html,
              AllOf(HasSubstr("0.6931"), HasSubstr("succeed.b"),
                    HasSubstr("no such luck"), HasSubstr("the last words"),
                    HasSubstr("m/z"), HasSubstr("Learning curves of succeed.a"),
                    HasSubstr("Worst samples"), Not(HasSubstr("reliminary"))));
  ASSERT_EQ(Foldfarm({"ensemble", "s1"}), 0);
  EXPECT_THAT(said_, HasSubstr("0.6931"));
}

TEST_F(ReportFarmTest, ARunningSweepHasAPreliminaryOne) {
  Submit({"succeed"});
  ASSERT_EQ(Foldfarm({"report", "s1", "--out", Path("r.html")}), 0) << said_;
  EXPECT_THAT(said_, HasSubstr("preliminary, no model is complete"));
  EXPECT_THAT(ReadFile(Path("r.html")).value_or(""),
              HasSubstr("Preliminary: 2 jobs of this sweep"));
}

TEST_F(ReportFarmTest, MistakesAreNamedBeforeAnythingIsFetched) {
  EXPECT_EQ(Foldfarm({"report", "s9", "--out", Path("r.html")}), 1);
  EXPECT_THAT(said_, HasSubstr("no sweep \"s9\""));
  EXPECT_EQ(Foldfarm({"report", "s9", "--out", Path("no/folder.html")}), 1);
  EXPECT_THAT(said_, HasSubstr("there is no folder"));
  EXPECT_EQ(Foldfarm({"report", "s9"}), 2);
  EXPECT_FALSE(FileExists(Path("r.html")));
}

TEST_F(ReportFarmTest, ResultsAreExportedInAllFormatsAtOnce) {
  ASSERT_TRUE(cluster_->StartWorker("w1").ok());
  Submit({"succeed.a", "bad_configuration"});
  WaitUntilFinal(4);
  const std::string out = Path("out");
  ASSERT_EQ(Foldfarm({"export", "s1", "--to", "safetensors,csv,npy,tensorboard",
                      "--out", out}),
            0)
      << said_;
  EXPECT_THAT(said_, AllOf(HasSubstr("without out-of-fold predictions: "
                                     "bad_configuration"),
                           HasSubstr("Exported csv"), HasSubstr("Exported npy"),
                           HasSubstr("Exported tensorboard")));
  for (const char* file :
       {"succeed.a/0.safetensors", "oof.csv", "oof_draws.csv", "metrics.csv",
        "results.csv", "oof_probabilities.npy", "oof_draws/succeed.a.npy",
        "metrics.npy"}) {
    EXPECT_TRUE(FileExists(JoinPath(out, file))) << file;
  }
  // Each index describes what it is there for, beside the other.
  const auto weights =
      ParseJson(ReadFile(JoinPath(out, "index.json")).value_or(""));
  ASSERT_TRUE(weights.is_object() && weights.contains("files"));
  EXPECT_FALSE(weights["labels"].empty());
  EXPECT_TRUE(weights["models"].contains("succeed.a"));
  size_t networks = 0;
  for (const auto& file : weights["files"]) {
    const auto bytes = ReadFile(JoinPath(out, file.value("path", "")));
    ASSERT_TRUE(bytes.ok()) << file;
    EXPECT_EQ(file["sha256"], Sha256Hex(*bytes)) << file;
    EXPECT_EQ(file["labels"], weights["labels"]);
    networks += file["what"] == "weights.safetensors" ? 1 : 0;
  }
  EXPECT_EQ(networks, 2u);
  const auto arrays =
      ParseJson(ReadFile(JoinPath(out, "npy.json")).value_or(""));
  ASSERT_TRUE(arrays.is_object() && arrays.contains("arrays"));
  EXPECT_EQ(arrays["labels"], weights["labels"]);
  EXPECT_EQ(arrays["arrays"]["oof_ensemble.npy"]["axes"],
            nlohmann::json({"samples", "labels"}));
  for (const auto& [name, array] : arrays["arrays"].items()) {
    EXPECT_TRUE(FileExists(JoinPath(out, name))) << name;
  }
  EXPECT_THAT(ReadFile(JoinPath(out, "README.txt")).value_or(""),
              AllOf(HasSubstr("\nindex.json "), HasSubstr("\nnpy.json ")));
  // An export's own folder takes another one.
  ASSERT_EQ(Foldfarm({"export", "s1", "--to", "safetensors,csv,npy,tensorboard",
                      "--out", out}),
            0)
      << said_;
  const auto runs = ListDirectory(JoinPath(out, "succeed.a/1"));
  ASSERT_TRUE(runs.ok()) << runs.status();
  ASSERT_EQ(runs->size(), 1u);
  EXPECT_THAT(runs->front(), HasSubstr("tfevents"));
  ASSERT_EQ(Foldfarm({"oof", "s1", "--out", Path("oof.csv")}), 0) << said_;
  EXPECT_EQ(ReadFile(Path("oof.csv")).value_or("a"),
            ReadFile(JoinPath(out, "oof.csv")).value_or("b"));
  EXPECT_EQ(Foldfarm({"export", "s1", "--to", "csv", "--out", out, "--model",
                      "sucseed.a"}),
            1);
  EXPECT_THAT(said_, HasSubstr("did you mean \"succeed.a\"?"));
}

TEST_F(ReportFarmTest, ASweepThatHasNothingYetExportsNothing) {
  Submit({"succeed"});
  EXPECT_EQ(Foldfarm({"export", "s1", "--to", "csv", "--out", Path("out")}), 1);
  EXPECT_THAT(said_, HasSubstr("nothing of s1 could be exported"));
  EXPECT_FALSE(FileExists(Path("out/metrics.csv")));
}

}  // namespace
}  // namespace foldfarm
