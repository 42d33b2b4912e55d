// Predictions by real coordinator, workers and command, with a trainer that
// only speaks the attempt contract, and whose every number is known.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/json_text.h"
#include "common/base/subprocess.h"
#include "common/ensemble/scores.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/channel.h"
#include "common/rpc/retry.h"
#include "common/rpc/status.h"
#include "common/spectra/synthesize.h"
#include "tests/testing/fake_probability.h"
#include "tests/testing/test_cluster.h"
#include "tests/testing/tiny_data.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Farm = v1::FarmService::StubInterface;
using Jobs = TestCluster::Jobs;
using Json = nlohmann::json;

constexpr absl::Duration kTimeout = absl::Seconds(10);

bool AllSucceeded(const Jobs& jobs, size_t count) {
  return jobs.size() == count &&
         std::all_of(jobs.begin(), jobs.end(), [](const auto& job) {
           return job.second.state() == v1::Job::SUCCEEDED;
         });
}

class PredictTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto cluster = TestCluster::Start({});
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    StartWorker("w1");
    StartWorker("w2");
  }

  void StartWorker(const std::string& name) {
    const absl::Status status = cluster_->StartWorker(name);
    ASSERT_TRUE(status.ok()) << status;
  }

  std::string Path(const std::string& name) const {
    return JoinPath(cluster_->folder(), name);
  }
  std::string Read(const std::string& name) const {
    return ReadFile(Path(name)).value_or("");
  }

  // Trains models x 2 folds to the end: s1.
  void Train(const std::vector<std::string>& models, int epochs,
             const std::string& dataset) {
    std::string yaml = absl::StrCat(
        "name: mars\nfolds: {count: 2}\ntta: 4\n"
        "defaults: {train: {epochs: ",
        epochs, "}}\nmodels:\n");
    for (const std::string& model : models) {
      absl::StrAppend(&yaml, "  - {name: ", model,
                      ", arch: {conv1d: {widths: [4], kernel: 3}}}\n");
    }
    const auto sweep = cluster_->Submit(yaml, dataset);
    ASSERT_TRUE(sweep.ok()) << sweep.status();
    ASSERT_EQ(*sweep, "s1");
    const auto jobs = cluster_->WaitForJobs(*sweep, [&](const Jobs& now) {
      return now.size() == models.size() * 2 &&
             std::all_of(now.begin(), now.end(), [](const auto& job) {
               return job.second.state() == v1::Job::SUCCEEDED ||
                      job.second.state() == v1::Job::FAILED;
             });
    });
    ASSERT_TRUE(jobs.ok()) << jobs.status();
  }

  // `foldfarm ARGUMENTS`; what it says goes to NAME.out and NAME.err.
  std::unique_ptr<Subprocess> StartCommand(
      const std::string& name, const std::vector<std::string>& arguments) {
    const auto create = [&](const char* suffix) {
      return open(Path(name + suffix).c_str(),
                  O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    };
    const int out = create(".out"), err = create(".err");
    SubprocessOptions options;
    options.argv = {JoinPath(FOLDFARM_BIN_DIR, "foldfarm"), "--coordinator",
                    cluster_->endpoint()};
    options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
    options.descriptors = {{1, out}, {2, err}};
    auto process = Subprocess::Spawn(options);
    close(out);
    close(err);
    return std::move(process).value();
  }
  int Run(const std::string& name, const std::vector<std::string>& arguments) {
    const ExitState end = StartCommand(name, arguments)->Wait();
    return end.signal != 0 ? -end.signal : end.exit_status;
  }

  int SweepCount() {
    const auto sweeps =
        UnaryCall(cluster_->farm(), &Farm::ListSweeps, {}, kTimeout);
    EXPECT_TRUE(sweeps.ok()) << sweeps.status();
    return sweeps->sweeps_size();
  }

  // What the networks of `model` predict: the mean over 2 folds of the first
  // `draws` draws.
  static double Expected(const std::string& model, const std::string& sample,
                         const std::string& label, int draws) {
    double sum = 0;
    for (int fold = 0; fold < 2; ++fold) {
      for (int draw = 0; draw < draws; ++draw) {
        sum += FakeProbability(absl::StrCat("s1/", model, "/", fold), sample,
                               label, draw);
      }
    }
    return sum / 2 / draws;
  }

  std::unique_ptr<TestCluster> cluster_;
};

TEST_F(PredictTest, AWorkerThatIsKilledInTheMiddleChangesNothing) {
  const auto artifact = UploadBytes(cluster_->artifacts(), TinyDataset(16, 9),
                                    "dataset.safetensors");
  ASSERT_TRUE(artifact.ok()) << artifact.status();
  v1::RegisterDatasetRequest dataset;
  dataset.set_name("tiny");
  dataset.set_digest(artifact->digest());
  ASSERT_TRUE(
      UnaryCall(cluster_->farm(), &Farm::RegisterDataset, dataset, kTimeout)
          .ok());
  // An attempt takes 1.2 s, of training as of predicting.
  Train({"slow.a"}, 60, "tiny");
  v1::SubmitPredictionRequest request;
  request.set_request_id(NewRandomId());
  request.set_source("s1");
  request.set_split("test");
  request.set_shares(3);
  const auto submitted =
      UnaryCall(cluster_->farm(), &Farm::SubmitPrediction, request, kTimeout);
  ASSERT_TRUE(submitted.ok()) << submitted.status();
  ASSERT_EQ(submitted->jobs(), 6);

  std::string killed;
  const auto running = cluster_->WaitForJobs("s2", [&](const Jobs& jobs) {
    for (const auto& [name, job] : jobs) {
      if (job.state() == v1::Job::RUNNING && job.worker() == "w1" &&
          job.epochs() == 1) {
        killed = job.name();
      }
    }
    return !killed.empty();
  });
  ASSERT_TRUE(running.ok()) << running.status();
  cluster_->KillWorker("w1");
  const auto jobs = cluster_->WaitForJobs(
      "s2", [](const Jobs& now) { return AllSucceeded(now, 6); });
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  int lost = 0;
  for (const auto& [name, job] : *jobs) {
    lost += job.lost_count();
    const auto details = cluster_->GetJob(job.name());
    ASSERT_TRUE(details.ok());
    EXPECT_EQ(
        std::count_if(details->attempts().begin(), details->attempts().end(),
                      [](const v1::Attempt& attempt) {
                        return attempt.state() == v1::Attempt::SUCCEEDED;
                      }),
        1)
        << job.name();
  }
  EXPECT_GE(lost, 1) << killed;

  grpc::ClientContext context;
  v1::GetPredictionsRequest get;
  get.set_sweep("s2");
  const auto reader = cluster_->farm().GetPredictions(&context, get);
  v1::GetPredictionsResponse piece;
  std::vector<std::string> ids;
  while (reader->Read(&piece)) {
    for (const auto& row : piece.rows()) {
      ids.push_back(row.sample_id());
      EXPECT_DOUBLE_EQ(row.probability(0),
                       Expected("slow.a", row.sample_id(), "a", 4));
      EXPECT_DOUBLE_EQ(row.probability(1),
                       Expected("slow.a", row.sample_id(), "b", 4));
    }
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(ids, ElementsAre("T016", "T017", "T018", "T019", "T020", "T021",
                               "T022", "T023", "T024"))
      << "each once, in order";
}

// A folder of invented samples, imported as "data" as a whole; the features of
// one test sample are gone since.
class PredictCommandTest : public PredictTest {
 protected:
  void SetUp() override {
    PredictTest::SetUp();
    ASSERT_TRUE(
        SynthesizeDataset(Path("mars"), {.samples = 24, .sam = 8, .seed = 3})
            .ok());
    ASSERT_EQ(
        Run("import", {"dataset", "import", Path("mars"), "--name", "data"}), 0)
        << Read("import.err");
    for (const absl::string_view line :
         absl::StrSplit(Read("mars/metadata.csv"), '\n')) {
      const std::vector<std::string> cells = absl::StrSplit(line, ',');
      if (cells.size() < 4 || cells[1] != "test") continue;
      test_samples_.push_back(cells[0]);
      instrument_[cells[0]] = cells[2];
      if (test_samples_.size() == 2) {
        ASSERT_TRUE(
            RemoveRecursively(Path(absl::StrCat("mars/", cells[3]))).ok());
      }
    }
    ASSERT_GE(test_samples_.size(), 4u);
    missing_ = test_samples_[1];
  }

  std::vector<std::string> Arguments(const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {
        "predict", "mars", "--data", Path("mars"), "--out", Path("sub.csv")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  // The submission that `models` and `draws` make, without the lost sample.
  std::string Submission(const std::vector<std::string>& models, int draws) {
    const std::vector<std::string> lines =
        absl::StrSplit(Read("mars/submission_format.csv"), '\n');
    const std::vector<std::string> header = absl::StrSplit(lines[0], ',');
    std::string csv = lines[0] + "\n";
    for (const std::string& line : lines) {
      const std::string id = line.substr(0, line.find(','));
      if (instrument_.count(id) == 0 || id == missing_) continue;
      csv += id;
      for (size_t label = 1; label < header.size(); ++label) {
        double mean = 0;
        for (const std::string& model : models) {
          mean += Expected(model, id, header[label], draws);
        }
        absl::StrAppendFormat(&csv, ",%.6f",
                              Shrink(mean / static_cast<double>(models.size()),
                                     ShrinkConstant(instrument_[id])));
      }
      csv += '\n';
    }
    return csv;
  }

  std::vector<std::string> test_samples_;
  std::map<std::string, std::string> instrument_;
  std::string missing_;
};

TEST_F(PredictCommandTest, WritesASubmissionForEachNumberOfDrawsInOnePass) {
  Train({"succeed.a", "bad_configuration.b", "succeed.c"}, 2, "data");
  ASSERT_EQ(Run("first", Arguments({"--tta", "1,4", "-o", "json"})), 0)
      << Read("first.err");
  EXPECT_EQ(Read("sub.csv"), Submission({"succeed.a", "succeed.c"}, 4));
  EXPECT_EQ(Read("sub.tta1.csv"), Submission({"succeed.a", "succeed.c"}, 1));
  EXPECT_THAT(
      Read("first.err"),
      AllOf(HasSubstr("warning: model bad_configuration.b is left out: fold 0 "
                      "is failed"),
            HasSubstr(absl::StrCat("without a features file, hence not "
                                   "predicted: ",
                                   missing_)),
            HasSubstr("have no prediction and are left out (1 without a "
                      "features file)")));
  const Json json = ParseJson(Read("first.out"));
  ASSERT_TRUE(json.is_object()) << Read("first.out");
  EXPECT_EQ(json["sweep"], "s2");
  EXPECT_EQ(json["models"], Json({"succeed.a", "succeed.c"}));
  EXPECT_EQ(json["leftOut"][0]["model"], "bad_configuration.b");
  EXPECT_EQ(json["withoutFeatures"], Json({missing_}));
  EXPECT_EQ(json["rowsLeftOut"], Json({missing_}));
  EXPECT_EQ(json["files"].size(), 2u);

  // The same again: nothing is imported, submitted or predicted.
  const int sweeps = SweepCount();
  ASSERT_TRUE(RemoveRecursively(Path("sub.csv")).ok());
  ASSERT_EQ(Run("second", Arguments({"--tta", "1,4"})), 0)
      << Read("second.err");
  EXPECT_EQ(Read("sub.csv"), Submission({"succeed.a", "succeed.c"}, 4));
  EXPECT_THAT(Read("second.err"),
              AllOf(HasSubstr("is imported already"),
                    HasSubstr("2 models x 2 folds x 1 share, 4 of 4 jobs done "
                              "already")));
  EXPECT_EQ(SweepCount(), sweeps);

  // One of the models, and the prior where nothing was predicted.
  ASSERT_EQ(Run("prior", Arguments({"--models", "succeed.c", "--tta", "4",
                                    "--fill", "prior"})),
            0)
      << Read("prior.err");
  EXPECT_THAT(Read("sub.csv"), HasSubstr(absl::StrCat("\n", missing_, ",")));
  EXPECT_THAT(Read("prior.err"),
              AllOf(HasSubstr("hold each label's prevalence instead"),
                    HasSubstr(", 2 of 2 jobs done already")))
      << "reused from the prediction of all models";
}

TEST_F(PredictCommandTest, WhatCannotBePredictedIsSaidBeforeAnythingRuns) {
  Train({"succeed.a", "bad_configuration.b"}, 2, "data");
  const int sweeps = SweepCount();
  const auto refused = [&](const std::vector<std::string>& more) {
    EXPECT_EQ(Run("refused", Arguments(more)), 1) << absl::StrJoin(more, " ");
    EXPECT_FALSE(FileExists(Path("sub.csv")));
    return Read("refused.err");
  };
  EXPECT_THAT(refused({"--models", "bad_configuration.b"}),
              HasSubstr("model bad_configuration.b cannot predict: fold 0"));
  EXPECT_THAT(refused({"--models", "suceed.a"}),
              HasSubstr("did you mean \"succeed.a\"?"));
  EXPECT_THAT(refused({"--models", "greedy:2"}),
              HasSubstr("s1 has 1 complete model"));
  EXPECT_THAT(refused({"--samples", missing_}),
              HasSubstr(absl::StrCat(missing_, " has no features file")));
  EXPECT_THAT(refused({"--samples", "S9999"}),
              HasSubstr("no sample \"S9999\""));
  EXPECT_THAT(refused({"--split", "val"}),
              HasSubstr("no samples of split val"));
  EXPECT_THAT(refused({"--format", Path("absent.csv")}),
              HasSubstr("absent.csv"));
  // Labels in another order are other labels.
  std::string labels = Read("mars/train_labels.csv");
  const size_t comma = labels.find(',');
  const size_t second = labels.find(',', comma + 1);
  const std::string first = labels.substr(comma, second - comma);
  labels.erase(comma, second - comma);
  labels.insert(labels.find('\n'), first);
  ASSERT_TRUE(WriteFileAtomically(Path("mars/train_labels.csv"), labels).ok());
  EXPECT_THAT(refused({}),
              HasSubstr("expected those of the models of s1 in their order"));
  EXPECT_EQ(SweepCount(), sweeps);
  EXPECT_EQ(Run("both", Arguments({"--dataset", "data"})), 2);
  EXPECT_EQ(Run("draws", Arguments({"--tta", "0"})), 2);
}

TEST_F(PredictCommandTest, AFormatOfOtherSamplesIsIgnoredOrRefused) {
  Train({"succeed.a"}, 2, "data");
  const std::vector<std::string> train = {"--split", "train", "--tta", "1"};
  std::vector<std::string> named = train;
  named.insert(named.end(), {"--format", Path("mars/submission_format.csv")});
  // Found beside the samples: of test, and not asked for.
  ASSERT_EQ(Run("found", Arguments(train)), 0) << Read("found.err");
  EXPECT_THAT(Read("found.err"),
              AllOf(HasSubstr("mars/submission_format.csv has a row of none of "
                              "the 32 samples to predict and is ignored"),
                    HasSubstr("Wrote 32 rows to ")));
  const std::string csv = Read("sub.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 32);
  const int sweeps = SweepCount();
  EXPECT_EQ(Run("named", Arguments(named)), 1);
  EXPECT_THAT(Read("named.err"),
              AllOf(HasSubstr("error: --format "),
                    HasSubstr("has a row of none of the 32 samples")));
  EXPECT_EQ(SweepCount(), sweeps);
  // Which samples a dataset's split has shows when they are predicted.
  std::vector<std::string> late = {"predict", "mars", "--out", Path("sub.csv")};
  late.insert(late.end(), named.begin(), named.end());
  EXPECT_EQ(Run("late", late), 1);
  EXPECT_THAT(Read("late.err"),
              HasSubstr("has a row of none of the 32 samples to predict"));
  EXPECT_EQ(Read("sub.csv"), csv);
}

TEST_F(PredictCommandTest, AnInterruptLeavesItRunningAndTheSameCommandGoesOn) {
  Train({"slow.a"}, 150, "data");
  const auto process = StartCommand("first", Arguments({}));
  const auto running = cluster_->WaitForJobs("s2", [](const Jobs& jobs) {
    return std::any_of(jobs.begin(), jobs.end(), [](const auto& job) {
      return job.second.state() == v1::Job::RUNNING;
    });
  });
  ASSERT_TRUE(running.ok()) << running.status();
  kill(process->pid(), SIGINT);
  EXPECT_EQ(process->Wait().exit_status, 130);
  EXPECT_THAT(Read("first.err"), AllOf(HasSubstr("s2 goes on predicting"),
                                       HasSubstr("The same command again"),
                                       HasSubstr("foldfarm cancel s2")));
  EXPECT_FALSE(FileExists(Path("sub.csv")));
  // Cancelled in between, it is tried again.
  ASSERT_TRUE(cluster_->Cancel("s2/slow.a/1").ok());
  ASSERT_TRUE(cluster_
                  ->WaitForJob("s2/slow.a/1",
                               [](const v1::GetJobResponse& now) {
                                 return now.job().state() != v1::Job::RUNNING &&
                                        now.job().state() != v1::Job::PENDING;
                               })
                  .ok());
  ASSERT_EQ(Run("second", Arguments({})), 0) << Read("second.err");
  EXPECT_EQ(Read("sub.csv"), Submission({"slow.a"}, 4));
  EXPECT_EQ(SweepCount(), 2);
}

}  // namespace
}  // namespace foldfarm
