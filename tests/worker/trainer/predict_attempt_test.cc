// Attempts that predict with what an attempt that trained left, by the real
// program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/tensorfile/tensorfile.h"
#include "tests/worker/render/made_dataset.h"
#include "tests/worker/trainer/running_trainer.h"

namespace foldfarm {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;
using Json = nlohmann::json;

constexpr int kPredictSamples = 24;
constexpr int kPredictTrain = 18;
constexpr int kTta = 3;
// What the size of a batch may change.
constexpr float kSumRounding = 2e-6f;

using Floats = std::vector<float>;

class PredictAttemptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeTemporaryDirectory("predict_attempt");
    Write("dataset.safetensors",
          MakeDatasetFile({.num_samples = kPredictSamples, .sam_every = 3}));
    spec_ = {
        {"job", "made/conv1d/1"},
        {"fold", 1},
        {"seed", 3},
        {"tta", kTta},
        {"threads", 1},
        {"device", "cpu"},
        {"trainSamples", MadeSampleIds(0, kPredictTrain)},
        {"validationSamples", MadeSampleIds(kPredictTrain, kPredictSamples)},
        {"model",
         {{"name", "conv1d"},
          {"augment",
           {{"mz_var", 0.3}, {"sub_bg_prob", 0.5}, {"mix_prob", 0.3}}},
          {"sam_augment", {{"prob", 0.3}}},
          {"train", {{"epochs", 2}, {"batch", 8}, {"lr", 0.003}}},
          {"arch", {{"conv1d", {{"stem", 8}, {"widths", {8}}}}}}}}};
  }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(JoinPath(folder_, name), bytes).ok());
  }
  std::unique_ptr<RunningTrainer> Start() {
    Write("attempt.json", JsonText(spec_));
    return std::make_unique<RunningTrainer>(folder_);
  }
  void Train() {
    const auto trainer = Start();
    while (!trainer->Next().is_null()) {
    }
    ASSERT_EQ(trainer->ExitStatus(), 0);
  }
  // From here on the attempt predicts these.
  void SetPredicted(const std::vector<std::string>& samples) {
    spec_["predictSamples"] = samples;
    spec_["trainSamples"] = Json::array();
    spec_["validationSamples"] = Json::array();
  }
  // What a tensor of a file of predictions holds.
  Floats Read(const std::string& file, const std::string& tensor) {
    const auto opened = TensorFile::Open(JoinPath(folder_, file));
    EXPECT_TRUE(opened.ok()) << opened.status();
    if (!opened.ok()) return {};
    const size_t dimensions = tensor == "draws" ? 3 : 2;
    const auto values =
        (*opened)->F32(tensor, std::vector<int64_t>(dimensions, -1));
    EXPECT_TRUE(values.ok()) << values.status();
    return values.ok() ? Floats(values->begin(), values->end()) : Floats();
  }
  Floats Predict(const std::vector<std::string>& samples) {
    SetPredicted(samples);
    const auto trainer = Start();
    EXPECT_FALSE(trainer->Next("finished").is_null());
    EXPECT_EQ(trainer->ExitStatus(), 0);
    return Read("predictions.safetensors", "probabilities");
  }
  Json Failure(int exit_status) {
    const auto trainer = Start();
    const Json failed = trainer->Next("failed");
    EXPECT_EQ(trainer->ExitStatus(), exit_status);
    return failed;
  }

  std::string folder_;
  Json spec_;
};

TEST_F(PredictAttemptTest, SaysWhatItDoesAndLeavesOneFile) {
  Train();
  ASSERT_TRUE(RemoveRecursively(JoinPath(folder_, "oof.safetensors")).ok());
  SetPredicted({"M0003", "M0020"});
  const auto trainer = Start();
  const Json started = trainer->Next();
  EXPECT_EQ(started["event"], "started");
  EXPECT_EQ(started["epochs"], 1);
  EXPECT_EQ(started["resumed_epoch"], 0);
  const Json epoch = trainer->Next();
  EXPECT_EQ(epoch["event"], "epoch");
  EXPECT_EQ(epoch["epoch"], 1);
  EXPECT_GT(epoch["metrics"]["seconds"], 0);
  EXPECT_GT(epoch["metrics"]["samples_per_second"], 0);
  const Json finished = trainer->Next();
  EXPECT_EQ(finished["event"], "finished");
  EXPECT_EQ(finished["files"], Json({"predictions.safetensors"}));
  EXPECT_TRUE(trainer->Next().is_null());
  EXPECT_EQ(trainer->ExitStatus(), 0);
  EXPECT_FALSE(FileExists(JoinPath(folder_, "oof.safetensors")));

  const auto file =
      *TensorFile::Open(JoinPath(folder_, "predictions.safetensors"));
  EXPECT_EQ(*file->Metadata("format"), "foldfarm-predictions");
  EXPECT_EQ(*file->Metadata("format_version"), "1");
  EXPECT_EQ(*file->Metadata("job"), "made/conv1d/1");
  EXPECT_EQ(*file->Metadata("fold"), "1");
  EXPECT_EQ(ParseJson(*file->Metadata("sample_ids")), Json({"M0003", "M0020"}));
  EXPECT_EQ(ParseJson(*file->Metadata("labels")),
            Json({"label0", "label1", "label2"}));
  const auto draws = file->F32("draws", {kTta, 2, 3});
  ASSERT_TRUE(draws.ok()) << draws.status();
  const auto mean = file->F32("probabilities", {2, 3});
  ASSERT_TRUE(mean.ok()) << mean.status();
  for (int i = 0; i < 6; ++i) {
    EXPECT_NEAR((*mean)[i],
                ((*draws)[i] + (*draws)[6 + i] + (*draws)[12 + i]) / 3, 1e-6);
  }
  // Draws are draws: they differ.
  EXPECT_NE((*draws)[0], (*draws)[6]);
}

TEST_F(PredictAttemptTest, SharesAndCompanyChangeNothing) {
  Train();
  const Floats all = Predict(MadeSampleIds(0, kPredictSamples));
  Floats shares = Predict(MadeSampleIds(0, 7));
  const Floats rest = Predict(MadeSampleIds(7, kPredictSamples));
  shares.insert(shares.end(), rest.begin(), rest.end());
  EXPECT_THAT(shares, Pointwise(FloatNear(kSumRounding), all));
  EXPECT_THAT(Predict({"M0011"}),
              Pointwise(FloatNear(kSumRounding),
                        Floats(all.begin() + 33, all.begin() + 36)));
  // Another job draws other images.
  spec_["seed"] = 4;
  EXPECT_NE(Predict(MadeSampleIds(0, kPredictSamples)), all);
}

TEST_F(PredictAttemptTest, MoreDrawsBeginWithTheSameOnes) {
  Train();
  Predict({"M0001", "M0002"});
  const Floats few = Read("predictions.safetensors", "draws");
  spec_["tta"] = 5;
  Predict({"M0001", "M0002"});
  Floats many = Read("predictions.safetensors", "draws");
  EXPECT_EQ(many.size(), 5u * 2 * 3);
  many.resize(few.size());
  EXPECT_THAT(many, Pointwise(FloatNear(kSumRounding), few));
}

TEST_F(PredictAttemptTest, StoppedItExitsWith75AndLeavesNothing) {
  Train();
  spec_["tta"] = 200000;
  SetPredicted(MadeSampleIds(0, kPredictSamples));
  const auto trainer = Start();
  EXPECT_FALSE(trainer->Next("started").is_null());
  trainer->Terminate();
  EXPECT_TRUE(trainer->Next("failed").is_null());
  EXPECT_EQ(trainer->ExitStatus(), 75);
  EXPECT_FALSE(FileExists(JoinPath(folder_, "predictions.safetensors")));
}

TEST_F(PredictAttemptTest, WeightsOfAnotherModelExitWith64AndSaySo) {
  Train();
  SetPredicted({"M0001"});
  const Json good = spec_;
  spec_["model"]["arch"]["conv1d"]["stem"] = 16;
  Json failed = Failure(64);
  EXPECT_EQ(failed["code"], "INVALID_ARGUMENT");
  EXPECT_THAT(failed["message"].get<std::string>(),
              HasSubstr("weights.safetensors"));
  EXPECT_THAT(failed["message"].get<std::string>(),
              HasSubstr("holds 20 tensors, expected 26"));
  EXPECT_THAT(failed["message"].get<std::string>(),
              HasSubstr("not those of model conv1d"));
  spec_["model"]["arch"] = {{"xgboost", Json::object()}};
  EXPECT_EQ(Failure(64)["code"], "INVALID_ARGUMENT");
  spec_["model"]["arch"] = {{"none", Json::object()}};
  EXPECT_THAT(Failure(64)["message"].get<std::string>(), HasSubstr("prior"));
  spec_ = good;
  spec_["model"]["labels"] = {"label1"};
  EXPECT_EQ(Failure(64)["code"], "INVALID_ARGUMENT");
  spec_ = good;
  Write("weights.safetensors", "not a tensor file");
  EXPECT_EQ(Failure(64)["code"], "INVALID_ARGUMENT");
}

TEST_F(PredictAttemptTest, ASampleThatIsNotThereExitsWith64) {
  Train();
  SetPredicted({"M0001", "S9999"});
  EXPECT_THAT(Failure(64)["message"].get<std::string>(), HasSubstr("S9999"));
}

TEST_F(PredictAttemptTest, WithoutWeightsAnotherAttemptMayDoBetter) {
  SetPredicted({"M0001"});
  const Json failed = Failure(70);
  EXPECT_EQ(failed["code"], "INTERNAL");
  EXPECT_THAT(failed["message"].get<std::string>(),
              HasSubstr("weights.safetensors is absent"));
}

struct Arch {
  const char* name;
  const char* json;
};

class PredictEveryArchTest : public PredictAttemptTest,
                             public ::testing::WithParamInterface<Arch> {};

// The job's own validation samples, with and without some of the labels.
TEST_P(PredictEveryArchTest, GivesTheOutOfFoldPredictionsAgain) {
  for (const bool subset : {false, true}) {
    SetUp();
    spec_["model"]["arch"] = ParseJson(GetParam().json);
    if (subset) spec_["model"]["labels"] = {"label2", "label0"};
    Train();
    const Floats oof = Read("oof.safetensors", "probabilities");
    ASSERT_EQ(oof.size(),
              (subset ? 2u : 3u) * (kPredictSamples - kPredictTrain));
    // Beside a sample that was not held out.
    std::vector<std::string> samples =
        MadeSampleIds(kPredictTrain - 1, kPredictSamples);
    Floats predicted = Predict(samples);
    predicted.erase(predicted.begin(), predicted.begin() + (subset ? 2 : 3));
    EXPECT_THAT(predicted, Pointwise(FloatNear(kSumRounding), oof));
    EXPECT_EQ(Read("predictions.safetensors", "draws").size(),
              kTta * samples.size() * (subset ? 2 : 3));
    EXPECT_TRUE(RemoveRecursively(folder_).ok());
  }
}

// A fold that was retried in another precision predicts as it was scored.
TEST_F(PredictAttemptTest, ThePrecisionIsThatOfTheWeights) {
  spec_["model"]["train"]["precision"] = "bf16";
  Train();
  const Floats oof = Read("oof.safetensors", "probabilities");
  spec_["model"]["train"]["precision"] = "fp32";
  EXPECT_THAT(Predict(MadeSampleIds(kPredictTrain, kPredictSamples)),
              Pointwise(FloatNear(kSumRounding), oof));
}

INSTANTIATE_TEST_SUITE_P(
    All, PredictEveryArchTest,
    ::testing::Values(
        Arch{"none", R"({"none": {}})"},
        Arch{"resnet", R"({"resnet": {"layers": [1], "widths": [4]}})"},
        Arch{"rnn", R"({"rnn": {"hidden": 8, "layers": 1}})"},
        Arch{"vit1d", R"({"vit1d": {"dim": 16, "depth": 1, "heads": 2}})"},
        Arch{"vit", R"({"vit": {"dim": 16, "depth": 1, "heads": 2,
                                "levels": 16}})"},
#ifdef FOLDFARM_HAS_XGBOOST
        Arch{"xgboost", R"({"xgboost": {"features": {"bands": [240]},
                            "rounds": 6, "epoch_rounds": 3, "draws": 1}})"},
        Arch{"xgboost_multi",
             R"({"xgboost": {"features": {"bands": [240]}, "rounds": 4,
                             "epoch_rounds": 2, "draws": 1,
                             "targets": "multi_output"}})"},
#endif
        Arch{"tabnet", R"({"tabnet": {"features": {"bands": [240]},
                           "decision": 4, "attention": 4, "steps": 2,
                           "virtual_batch": 8}})"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace foldfarm
