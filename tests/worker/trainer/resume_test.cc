// An attempt that is killed at random moments and resumed elsewhere, any number
// of times, ends as one that was never touched: the same weights and
// predictions, bit for bit.
//
// FOLDFARM_RESUME_SEED chooses other moments; a failure says which it used.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/tensorfile/tensorfile.h"
#include "nlohmann/json.hpp"
#include "tests/worker/render/made_dataset.h"
#include "tests/worker/trainer/running_trainer.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

constexpr int kResumeSamples = 22;
constexpr int kResumeTrain = 16;
constexpr int kResumeEpochs = 6;
// Started, then an epoch and a checkpoint each, finished.
constexpr int kMostEvents = 8;
// Far more than the seeds need.
constexpr int kMostAttempts = 60;

struct ResumeCase {
  const char* name;
  // Merged over the common model: arch, and what the case is about.
  const char* model;
};

// A line each. Small, with everything random switched on.
constexpr ResumeCase kCases[] = {
    {"Cnn", R"({"arch": {"resnet": {"layers": [1, 1], "widths": [4, 8],
                                     "head_dropout": 0.1}}})"},
    {"Rnn", R"({"arch": {"rnn": {"hidden": 8, "layers": 2, "dropout": 0.2}}})"},
    {"Transformer", R"({"arch": {"vit1d": {"dim": 16, "depth": 1, "heads": 2,
                                            "dropout": 0.1}}})"},
    {"MovingAverage", R"({"arch": {"conv1d": {"widths": [8], "stem": 8}},
                          "train": {"ema": 0.9, "optimizer": "sgd"}})"},
    {"Tabnet", R"({"arch": {"tabnet": {"features": {"bands": [480]},
                                        "decision": 4, "attention": 4,
                                        "virtual_batch": 4}}})"},
    // Rounds make 6 epochs.
    {"Xgboost", R"({"arch": {"xgboost": {"features": {"bands": [240]},
                                          "rounds": 18, "epoch_rounds": 3}}})"},
    {"XgboostDart", R"({"arch": {"xgboost": {"features": {"bands": [240]},
                                 "rounds": 18, "epoch_rounds": 3,
                                 "booster": "dart", "skip_drop": 0.2,
                                 "targets": "multi_output"}}})"},
};

// SHA-256 of the names and bytes of a file's tensors.
std::string DigestOfTensors(const std::string& path) {
  const auto file = TensorFile::Open(path);
  EXPECT_TRUE(file.ok()) << file.status();
  if (!file.ok()) return "";
  Hasher hasher = Hasher::Sha256();
  for (const auto& [name, view] : (*file)->tensors()) {
    hasher.Update(name);
    hasher.Update(view.bytes);
  }
  return hasher.FinishHex();
}

class ResumeTest : public ::testing::TestWithParam<ResumeCase> {
 protected:
  // What an attempt ends with.
  struct Result {
    std::string weights, predictions;
    bool operator==(const Result& other) const {
      return weights == other.weights && predictions == other.predictions;
    }
  };

  void SetUp() override { root_ = *MakeTemporaryDirectory("resume"); }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(root_).ok()); }

  // A fresh folder, as the worker lays it out; `checkpoint` may be empty.
  std::string NewFolder(const std::string& checkpoint) {
    const std::string folder = absl::StrCat(root_, "/", ++folders_);
    EXPECT_TRUE(MakeDirectories(folder).ok());
    const auto write = [&](const char* name, const std::string& bytes) {
      EXPECT_TRUE(WriteFileAtomically(JoinPath(folder, name), bytes).ok());
    };
    write("dataset.safetensors",
          MakeDatasetFile({.num_samples = kResumeSamples}));
    Json model = {{"name", "made"},
                  {"augment", {{"mix_prob", 0.3}, {"sub_bg_prob", 0.3}}},
                  {"train",
                   {{"epochs", kResumeEpochs},
                    {"batch", 8},
                    {"lr", 0.01},
                    {"checkpoint_epochs", 1}}}};
    model.merge_patch(ParseJson(GetParam().model));
    write("attempt.json",
          JsonText(Json({{"job", "made/model/0"},
                         {"seed", 3},
                         {"tta", 2},
                         {"threads", 1},
                         {"device", "cpu"},
                         {"trainSamples", MadeSampleIds(0, kResumeTrain)},
                         {"validationSamples",
                          MadeSampleIds(kResumeTrain, kResumeSamples)},
                         {"model", model}})));
    if (!checkpoint.empty()) {
      EXPECT_TRUE(PublishFile(checkpoint, JoinPath(folder, "checkpoint")).ok());
    }
    return folder;
  }

  static Result ResultIn(const std::string& folder) {
    return {DigestOfTensors(JoinPath(folder, "weights.safetensors")),
            DigestOfTensors(JoinPath(folder, "oof.safetensors"))};
  }

  // The newest whole checkpoint in the folder, or nothing.
  static std::string NewestCheckpoint(const std::string& folder) {
    const std::vector<std::string> names = *ListDirectory(folder);  // Sorted.
    std::string newest;
    for (const std::string& name : names) {
      if (absl::StartsWith(name, "checkpoint-") &&
          !absl::EndsWith(name, ".tmp")) {
        newest = JoinPath(folder, name);
      }
    }
    return newest;
  }

  Result RunToTheEnd() {
    const std::string folder = NewFolder("");
    RunningTrainer trainer(folder);
    EXPECT_FALSE(trainer.Next("finished").is_null());
    EXPECT_EQ(trainer.ExitStatus(), 0);
    return ResultIn(folder);
  }

  // Of the first run of each case in this process.
  const Result& Untouched() {
    static auto& results = *new std::map<std::string, Result>;
    const auto it = results.find(GetParam().name);
    if (it != results.end()) return it->second;
    return results[GetParam().name] = RunToTheEnd();
  }

  std::string root_;
  int folders_ = 0;
};

uint64_t SeedOfMoments() {
  const char* text = std::getenv("FOLDFARM_RESUME_SEED");
  uint64_t seed = 1;
  if (text != nullptr && !absl::SimpleAtoi(text, &seed)) {
    ADD_FAILURE() << "FOLDFARM_RESUME_SEED is \"" << text
                  << "\", expected a number";
  }
  return seed;
}

TEST_P(ResumeTest, KilledAtRandomMomentsItEndsAsIfNeverTouched) {
  const uint64_t seed = SeedOfMoments();
  SCOPED_TRACE(absl::StrCat("FOLDFARM_RESUME_SEED=", seed));
  std::mt19937_64 random(seed);
  std::string folder = NewFolder("");
  std::string checkpoint;
  std::vector<int> resumed_epochs;
  for (int attempt = 0; attempt < kMostAttempts; ++attempt) {
    RunningTrainer trainer(folder);
    Json event;
    for (uint64_t left = 1 + random() % kMostEvents; left > 0; --left) {
      event = trainer.Next();
      if (event.is_null() || event["event"] == "finished") break;
      if (event["event"] == "started") {
        resumed_epochs.push_back(event["resumed_epoch"]);
      }
      ASSERT_NE(event["event"], "failed") << event;
    }
    if (event.is_object() && event["event"] == "finished") {
      EXPECT_EQ(trainer.ExitStatus(), 0);
      ASSERT_FALSE(resumed_epochs.empty());
      EXPECT_GT(resumed_epochs.back(), 0);
      EXPECT_EQ(ResultIn(folder).weights, Untouched().weights);
      EXPECT_EQ(ResultIn(folder).predictions, Untouched().predictions);
      std::cout << attempt << " kills, resumed at epochs "
                << Json(resumed_epochs) << "\n";
      return;
    }
    trainer.Kill();
    trainer.Wait();
    const std::string newest = NewestCheckpoint(folder);
    if (!newest.empty()) {
      checkpoint = newest;
    } else if (!checkpoint.empty()) {
      checkpoint = JoinPath(folder, "checkpoint");
    }
    folder = NewFolder(checkpoint);
  }
  FAIL() << "never finished";
}

TEST_P(ResumeTest, TwoRunsOfOneSeedEndAlike) {
  EXPECT_EQ(RunToTheEnd().weights, Untouched().weights);
}

INSTANTIATE_TEST_SUITE_P(All, ResumeTest, ::testing::ValuesIn(kCases),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace foldfarm
