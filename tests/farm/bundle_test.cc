// From a sweep to a bundle, to predictions and explanations without a farm: the
// real programs, on invented samples.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/subprocess.h"
#include "common/spectra/synthesize.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/png_image.h"
#include "tests/testing/test_cluster.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

constexpr char kSweep[] = R"(name: small
folds: {count: 2}
tta: 2
defaults:
  representation: {norm_to_one: true}
  train: {epochs: 40, batch: 8, lr: 0.003}
models:
  - {name: conv, arch: {conv1d: {stem: 16, widths: [16]}}}
  - {name: some, labels: [sulfate, carbonate], arch: {conv1d: {stem: 8, widths: [8]}}}
  - {name: prior, arch: {none: {}}}
)";

struct Outcome {
  int exit_status = 0;
  std::string out;
  std::string err;
};

class BundleTest : public testing::Test {
 protected:
  // One farm trains for all tests: that is what takes time.
  static void SetUpTestSuite() {
    root_ = new std::string(MakeTemporaryDirectory("bundle_test").value());
    ASSERT_TRUE(
        SynthesizeDataset(Path("data"), {.samples = 48, .sam = 8, .seed = 5})
            .ok());
    TestClusterOptions options;
    options.trainer = "foldfarm-trainer";
    auto cluster = TestCluster::Start(options);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = cluster->release();
    ASSERT_TRUE(cluster_->StartWorker("w", {"--slots", "1"}).ok());
    ASSERT_EQ(
        Farm({"dataset", "import", Path("data"), "--name", "made"}).exit_status,
        0);
    const auto sweep = cluster_->Submit(kSweep, "made");
    ASSERT_TRUE(sweep.ok()) << sweep.status();
    sweep_ = new std::string(*sweep);
    const auto done =
        cluster_->WaitForJobs(*sweep_, [](const TestCluster::Jobs& jobs) {
          for (const auto& [name, job] : jobs) {
            if (job.state() != v1::Job::SUCCEEDED) return false;
          }
          return jobs.size() == 6;
        });
    ASSERT_TRUE(done.ok()) << done.status();
    const Outcome made = Farm({"bundle", *sweep_, "--out", Path("bundle")});
    ASSERT_EQ(made.exit_status, 0) << made.err;
  }
  static void TearDownTestSuite() {
    delete cluster_;
    EXPECT_TRUE(RemoveRecursively(*root_).ok());
    delete root_;
    delete sweep_;
  }

  static std::string Path(const std::string& name) {
    return JoinPath(*root_, name);
  }
  static Outcome Run(const std::string& program,
                     std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), JoinPath(FOLDFARM_BIN_DIR, program));
    SubprocessOptions options;
    options.argv = std::move(arguments);
    const auto create = [&](const char* name) {
      return open(Path(name).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                  0644);
    };
    const int out = create("out"), err = create("err");
    options.descriptors = {{1, out}, {2, err}};
    auto process = Subprocess::Spawn(options);
    close(out);
    close(err);
    Outcome outcome;
    if (!process.ok()) {
      ADD_FAILURE() << process.status();
      return outcome;
    }
    outcome.exit_status = (*process)->Wait().exit_status;
    outcome.out = ReadFile(Path("out")).value();
    outcome.err = ReadFile(Path("err")).value();
    return outcome;
  }
  static Outcome Farm(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--coordinator", cluster_->endpoint()});
    return Run("foldfarm", std::move(arguments));
  }
  static Outcome Predict(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "predict");
    return Run("foldfarm-trainer", std::move(arguments));
  }
  static Json PredictJson(std::vector<std::string> arguments) {
    arguments.push_back("--json");
    const Outcome outcome = Predict(std::move(arguments));
    EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
    return ParseJson(outcome.out);
  }
  static std::string FileOf(const std::string& id) {
    return Path(absl::StrCat("data/train_features/", id, ".csv"));
  }
  // Ids of train samples with a label, in the labels' file's order.
  static std::vector<std::string> With(const std::string& label) {
    std::vector<std::string> ids;
    const std::string text = ReadFile(Path("data/train_labels.csv")).value();
    std::vector<std::string> columns;
    for (const std::string& line :
         std::vector<std::string>(absl::StrSplit(text, '\n'))) {
      const std::vector<std::string> cells = absl::StrSplit(line, ',');
      if (columns.empty()) columns = cells;
      for (size_t i = 1; i < cells.size(); ++i) {
        if (columns[i] == label && cells[i] == "1") ids.push_back(cells[0]);
      }
    }
    return ids;
  }

  static std::string* root_;
  static TestCluster* cluster_;
  static std::string* sweep_;
};

std::string* BundleTest::root_ = nullptr;
TestCluster* BundleTest::cluster_ = nullptr;
std::string* BundleTest::sweep_ = nullptr;

TEST_F(BundleTest, HoldsAllThatPredictingNeedsAndACardThatSaysSo) {
  for (const char* name :
       {"bundle.json", "MODEL_CARD.md", "models/conv/0.safetensors",
        "models/conv/1.safetensors", "models/some/0.safetensors",
        "models/prior/1.safetensors"}) {
    EXPECT_TRUE(FileExists(JoinPath(Path("bundle"), name))) << name;
  }
  EXPECT_FALSE(FileExists(Path("bundle/UNFINISHED")));
  const Json bundle = ParseJson(ReadFile(Path("bundle/bundle.json")).value());
  EXPECT_EQ(bundle["labels"].size(), 10);
  EXPECT_EQ(bundle["tta"], 2);
  EXPECT_EQ(bundle["shrink"]["sam_testbed"], 0.01);
  EXPECT_EQ(bundle["models"][1]["labels"], Json({"carbonate", "sulfate"}));
  EXPECT_EQ(bundle["models"][0]["folds"].size(), 2);
  EXPECT_GT(bundle["oof"]["logLoss"], 0);
  EXPECT_THAT(ReadFile(Path("bundle/MODEL_CARD.md")).value(),
              AllOf(HasSubstr("model conv"), HasSubstr("on sam_testbed"),
                    HasSubstr("## Digests")));
}

TEST_F(BundleTest, MakingItAgainKeepsFilesAndDropsModelsNoLongerChosen) {
  ASSERT_EQ(Farm({"bundle", *sweep_, "--out", Path("again")}).exit_status, 0);
  const Outcome fewer = Farm({"bundle", *sweep_, "--out", Path("again"),
                              "--models", "greedy:1", "--name", "one"});
  EXPECT_EQ(fewer.exit_status, 0) << fewer.err;
  EXPECT_THAT(fewer.err, HasSubstr("1 model, 2 networks"));
  EXPECT_EQ(ListDirectory(Path("again/models")).value().size(), 1u);
  EXPECT_EQ(
      PredictJson({Path("again"), FileOf(With("sulfate")[0])})["spreadBetween"],
      "folds");
}

TEST_F(BundleTest, AFolderOfSomethingElseIsLeftAlone) {
  ASSERT_TRUE(MakeDirectories(Path("mine")).ok());
  ASSERT_TRUE(WriteFileAtomically(Path("mine/thesis.txt"), "x").ok());
  const Outcome outcome = Farm({"bundle", *sweep_, "--out", Path("mine")});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("thesis.txt"), HasSubstr("not a bundle")));
  EXPECT_EQ(ListDirectory(Path("mine")).value().size(), 1u);
  EXPECT_THAT(
      Farm({"bundle", *sweep_, "--out", Path("new"), "--models", "cnv"}).err,
      HasSubstr("did you mean \"conv\""));
  EXPECT_FALSE(FileExists(Path("new")));
}

TEST_F(BundleTest, PredictsOneFileAsATable) {
  const std::string id = With("carbonate")[0];
  const Outcome outcome = Predict({Path("bundle"), FileOf(id)});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("SAMPLE"), HasSubstr(id),
                                 HasSubstr("±"), HasSubstr("3 models")));
  EXPECT_THAT(outcome.err, IsEmpty());
}

TEST_F(BundleTest, PredictsAFolderWithEveryModelAndTheSpread) {
  const Json all = PredictJson({Path("bundle"), Path("data")});
  // The labelled ones and an eighth as many of split test.
  EXPECT_EQ(all["samples"].size(), 48 + 8 + 6 + 1);
  EXPECT_THAT(all["failed"], IsEmpty());
  EXPECT_EQ(all["tta"], 2);
  std::map<std::string, Json> by_id;
  int sam = 0;
  for (const Json& sample : all["samples"]) {
    by_id[sample["sample"]] = sample;
    sam += sample["instrumentType"] == "sam_testbed";
    EXPECT_EQ(sample["probability"].size(), 10);
    const Json& models = sample["modelProbability"];
    EXPECT_EQ(models.size(), 3);
    EXPECT_TRUE(models["some"]["basalt"].is_null());
    // The mean of those that have the label, all shrunk alike.
    const double c = sample["instrumentType"] == "sam_testbed" ? 0.01 : 0.002;
    const double two = (models["conv"]["basalt"].get<double>() +
                        models["prior"]["basalt"].get<double>()) /
                       2;
    EXPECT_NEAR(sample["probability"]["basalt"], two, 2e-6);
    for (const auto& [model, figures] : models.items()) {
      EXPECT_GE(figures["sulfate"], c) << model;
      EXPECT_LE(figures["sulfate"], 1 - c) << model;
    }
    const double mean = (models["conv"]["sulfate"].get<double>() +
                         models["some"]["sulfate"].get<double>() +
                         models["prior"]["sulfate"].get<double>()) /
                        3;
    EXPECT_NEAR(sample["probability"]["sulfate"], mean, 2e-6);
    EXPECT_LE(sample["low"]["sulfate"], mean);
    EXPECT_GE(sample["high"]["sulfate"], mean);
    EXPECT_GT(sample["spread"]["sulfate"], 0);
  }
  EXPECT_EQ(sam, 8 + 1);
  // Alone, a sample gets what it gets in company.
  const std::string id = With("sulfate")[0];
  const Json one = PredictJson({Path("bundle"), FileOf(id)});
  for (const auto& [label, p] : one["samples"][0]["probability"].items()) {
    EXPECT_NEAR(p.get<double>(), by_id[id]["probability"][label].get<double>(),
                4e-6);
  }
  // It has learned something: samples with a label stand above the others.
  double with = 0, without = 0;
  const std::vector<std::string> carbonates = With("carbonate");
  for (const auto& [sample, json] : by_id) {
    const bool has = std::find(carbonates.begin(), carbonates.end(), sample) !=
                     carbonates.end();
    (has ? with : without) += json["probability"]["carbonate"].get<double>();
  }
  with /= static_cast<double>(carbonates.size());
  without /= static_cast<double>(by_id.size() - carbonates.size());
  EXPECT_GT(with, without * 1.3);
}

TEST_F(BundleTest, OptionsChangeDrawsShrinkingAndInstrument) {
  const std::string file = FileOf(With("sulfate")[0]);
  ASSERT_TRUE(
      WriteFileAtomically(Path("alone.csv"), ReadFile(file).value()).ok());
  const Outcome guessed = Predict({Path("bundle"), Path("alone.csv")});
  EXPECT_THAT(guessed.err, HasSubstr("instrument is not known"));
  EXPECT_THAT(guessed.out, HasSubstr("commercial"));
  const Json told = PredictJson({Path("bundle"), Path("alone.csv"),
                                 "--instrument", "sam_testbed", "--tta", "3"});
  EXPECT_EQ(told["samples"][0]["instrumentType"], "sam_testbed");
  EXPECT_EQ(told["tta"], 3);
  const Json plain = PredictJson({Path("bundle"), file, "--no-shrink"});
  const Json& sample = plain["samples"][0];
  EXPECT_NEAR(sample["probability"]["basalt"],
              (sample["modelProbability"]["conv"]["basalt"].get<double>() +
               sample["modelProbability"]["prior"]["basalt"].get<double>()) /
                  2,
              2e-6);
}

TEST_F(BundleTest, BadFilesAreReportedAndTheOthersGoOn) {
  const std::string good = FileOf(With("sulfate")[0]);
  ASSERT_TRUE(MakeDirectories(Path("mixed")).ok());
  const std::string text = ReadFile(good).value();
  ASSERT_TRUE(WriteFileAtomically(Path("mixed/good.csv"), text).ok());
  ASSERT_TRUE(WriteFileAtomically(Path("mixed/line.csv"),
                                  "time,temp,m/z,abundance\n1,30,x,5\n")
                  .ok());
  ASSERT_TRUE(WriteFileAtomically(Path("mixed/cold.csv"),
                                  "time,temp,m/z,abundance\n1,-30,18,5\n")
                  .ok());
  const Outcome outcome = Predict({Path("bundle"), Path("mixed"), "--json"});
  EXPECT_EQ(outcome.exit_status, 1);
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("line.csv:2"), HasSubstr("28 < temp < 1000")));
  const Json json = ParseJson(outcome.out);
  EXPECT_EQ(json["samples"].size(), 1);
  EXPECT_EQ(json["failed"].size(), 2);
}

TEST_F(BundleTest, ASampleThatEndsEarlyIsPredictedWithTheReason) {
  std::string early;
  for (const std::string& line : std::vector<std::string>(absl::StrSplit(
           ReadFile(FileOf(With("sulfate")[0])).value(), '\n'))) {
    const std::vector<std::string> cells = absl::StrSplit(line, ',');
    if (cells.size() == 4 && std::atof(cells[1].c_str()) < 300) {
      absl::StrAppend(&early, line, "\n");
    }
  }
  ASSERT_TRUE(WriteFileAtomically(Path("early.csv"), early).ok());
  const Outcome outcome = Predict(
      {Path("bundle"), Path("early.csv"), "--instrument", "commercial"});
  EXPECT_EQ(outcome.exit_status, 0) << outcome.err;
  EXPECT_THAT(outcome.err,
              AllOf(HasSubstr("warning: early"), HasSubstr("to 300 °C"),
                    HasSubstr("% of what they look at is empty")));
}

TEST_F(BundleTest, ATamperedBundleIsRefusedByTheFilesName) {
  const std::string copy = Path("tampered");
  ASSERT_EQ(Farm({"bundle", *sweep_, "--out", copy}).exit_status, 0);
  const std::string weights = JoinPath(copy, "models/conv/1.safetensors");
  std::string bytes = ReadFile(weights).value();
  bytes[bytes.size() - 3] ^= 1;
  ASSERT_TRUE(WriteFileAtomically(weights, bytes).ok());
  const std::string file = FileOf(With("sulfate")[0]);
  const Outcome predicted = Predict({copy, file});
  EXPECT_EQ(predicted.exit_status, 64);
  EXPECT_THAT(predicted.err, AllOf(HasSubstr("models/conv/1.safetensors"),
                                   HasSubstr("damaged or changed")));
  const Outcome explained =
      Run("foldfarm", {"explain", copy, file, "--label", "sulfate"});
  EXPECT_EQ(explained.exit_status, 1);
  EXPECT_THAT(explained.err, HasSubstr("models/conv/1.safetensors"));
  // Made again it is whole.
  EXPECT_EQ(Farm({"bundle", *sweep_, "--out", copy}).exit_status, 0);
  EXPECT_EQ(Predict({copy, file}).exit_status, 0);
  std::string json = ReadFile(JoinPath(copy, "bundle.json")).value();
  json = absl::StrReplaceAll(json, {{"\"tta\": 2", "\"tta\": 3"}});
  ASSERT_TRUE(WriteFileAtomically(JoinPath(copy, "bundle.json"), json).ok());
  EXPECT_THAT(Predict({copy, file}).err,
              AllOf(HasSubstr("bundle.json"), HasSubstr("changed")));
}

TEST_F(BundleTest, WrongUseSaysWhatIsExpected) {
  const std::string file = FileOf(With("sulfate")[0]);
  EXPECT_EQ(Predict({"--help"}).exit_status, 0);
  for (const auto& [arguments, message] :
       std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "no bundle"},
           {{Path("bundle")}, "no samples"},
           {{Path("bundle"), file, "--tta", "0"}, "--tta is \"0\""},
           {{Path("bundle"), file, "--instrument", "x"}, "sam_testbed"},
           {{Path("bundle"), file, "--ttt", "1"}, "--ttt"},
           {{Path("bundle"), Path("nothing.csv")}, "nothing.csv"},
           {{Path("data"), file}, "is not a bundle"}}) {
    const Outcome outcome = Predict(arguments);
    EXPECT_EQ(outcome.exit_status, 64) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

TEST_F(BundleTest, ExplainsALabelAsAPictureAndAList) {
  const std::string file = FileOf(With("carbonate")[0]);
  const Outcome outcome =
      Run("foldfarm", {"explain", Path("bundle"), file, "--label", "carbonate",
                       "--out", Path("why.png"), "-o", "json", "--draws", "2"});
  ASSERT_EQ(outcome.exit_status, 0) << outcome.err;
  const Json json = ParseJson(outcome.out);
  EXPECT_EQ(json["label"], "carbonate");
  EXPECT_EQ(json["leftOut"], Json({"prior"}));
  EXPECT_EQ(json["models"].size(), 2);
  ASSERT_FALSE(json["speaksFor"].empty());
  double before = 1e9;
  for (const Json& peak : json["speaksFor"]) {
    EXPECT_LE(peak["logOdds"], before);
    before = peak["logOdds"];
    EXPECT_LT(peak["fromCelsius"], peak["toCelsius"]);
  }
  const PngImage picture(ReadFile(Path("why.png")).value());
  ASSERT_TRUE(picture.ok());
  EXPECT_GT(picture.width(), 1000);
  const Outcome wrong =
      Run("foldfarm", {"explain", Path("bundle"), file, "--label", "carbonat"});
  EXPECT_EQ(wrong.exit_status, 1);
  EXPECT_THAT(wrong.err, HasSubstr("did you mean \"carbonate\"?"));
}

}  // namespace
}  // namespace foldfarm
