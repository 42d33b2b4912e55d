// "arch: xgboost" as the worker sees it, with the real program.
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

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr int kSamples = 60;
constexpr int kTrain = 45;

class TreeAttemptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeTemporaryDirectory("tree_attempt");
    Write("dataset.safetensors", MakeDatasetFile({.num_samples = kSamples}));
    spec_ = {{"job", "made/trees/0"},
             {"seed", 3},
             {"tta", 2},
             {"threads", 1},
             {"device", "cpu"},
             {"trainSamples", MadeSampleIds(0, kTrain)},
             {"validationSamples", MadeSampleIds(kTrain, kSamples)},
             {"model",
              {{"name", "trees"},
               {"augment", {{"mix_prob", 0.2}, {"mz_var", 0.2}}},
               {"train", {{"checkpoint_minutes", 0}}},
               {"arch",
                {{"xgboost",
                  {{"features", {{"bands", {240}}}},
                   {"rounds", 20},
                   {"epoch_rounds", 4},
                   {"draws", 3},
                   {"learning_rate", 0.3},
                   {"min_child_weight", 0.1}}}}}}}};
  }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(JoinPath(folder_, name), bytes).ok());
  }
  std::unique_ptr<RunningTrainer> Start() {
    Write("attempt.json", JsonText(spec_));
    return std::make_unique<RunningTrainer>(folder_);
  }
  Json& Arch() { return spec_["model"]["arch"]["xgboost"]; }
  // What a refused configuration says.
  std::string Refusal() {
    const auto trainer = Start();
    const Json failed = trainer->Next("failed");
    EXPECT_EQ(trainer->ExitStatus(), 64);
    if (failed.is_null()) return "";
    EXPECT_EQ(failed["code"], "INVALID_ARGUMENT");
    return failed["message"];
  }

  std::string folder_;
  Json spec_;
};

#ifdef FOLDFARM_HAS_XGBOOST

TEST_F(TreeAttemptTest, LearnsAndSaysWhatANetworkSays) {
  const auto trainer = Start();
  const Json started = trainer->Next("started");
  EXPECT_EQ(started["epochs"], 5);
  EXPECT_EQ(started["resumed_epoch"], 0);
  for (int epoch = 1; epoch <= 5; ++epoch) {
    const Json event = trainer->Next("epoch");
    EXPECT_EQ(event["epoch"], epoch);
    for (const char* name :
         {"train_loss", "log_loss", "log_loss_clip_1e_2", "accuracy", "lr",
          "samples_per_second", "seconds"}) {
      EXPECT_TRUE(event["metrics"].contains(name)) << name;
    }
  }
  const Json finished = trainer->Next("finished");
  EXPECT_EQ(trainer->ExitStatus(), 0);
  EXPECT_LT(finished["metrics"]["log_loss"], 0.45);
  EXPECT_EQ(finished["metrics"]["epochs"], 5);
  EXPECT_EQ(finished["files"],
            Json({"weights.safetensors", "model-label0.ubj", "model-label1.ubj",
                  "model-label2.ubj", "oof.safetensors"}));
  for (const std::string name : finished["files"]) {
    EXPECT_TRUE(FileExists(JoinPath(folder_, name))) << name;
  }
  const auto oof = *TensorFile::Open(JoinPath(folder_, "oof.safetensors"));
  EXPECT_TRUE(oof->F32("draws", {2, kSamples - kTrain, 3}).ok());
  EXPECT_EQ(ParseJson(*oof->Metadata("sample_ids")),
            spec_["validationSamples"]);
}

TEST_F(TreeAttemptTest, ALabelSubsetIsAllThatIsTrainedAndPredicted) {
  spec_["model"]["labels"] = {"label2", "label0"};
  const auto trainer = Start();
  const Json finished = trainer->Next("finished");
  EXPECT_EQ(trainer->ExitStatus(), 0);
  EXPECT_EQ(finished["files"], Json({"weights.safetensors", "model-label0.ubj",
                                     "model-label2.ubj", "oof.safetensors"}));
  const auto oof = *TensorFile::Open(JoinPath(folder_, "oof.safetensors"));
  EXPECT_EQ(ParseJson(*oof->Metadata("labels")), Json({"label0", "label2"}));
  EXPECT_TRUE(oof->F32("probabilities", {kSamples - kTrain, 2}).ok());
}

TEST_F(TreeAttemptTest, StoppedItLeavesACheckpointAndResumesToTheSameTrees) {
  Arch()["rounds"] = 400;
  auto trainer = Start();
  trainer->Next("epoch");
  trainer->Terminate();
  const Json checkpoint = trainer->Next("checkpoint");
  EXPECT_EQ(trainer->ExitStatus(), 75);
  ASSERT_FALSE(checkpoint.is_null());
  const std::string path = checkpoint["path"];
  for (const char* name : {"weights.safetensors", "state.safetensors"}) {
    EXPECT_TRUE(FileExists(JoinPath(JoinPath(folder_, path), name))) << name;
  }
  // The whole training is shorter than the rounds that a stop had time for.
  const int epoch = checkpoint["epoch"];
  Arch()["rounds"] = 4 * epoch + 8;
  ASSERT_TRUE(
      PublishFile(JoinPath(folder_, path), JoinPath(folder_, "checkpoint"))
          .ok());
  trainer = Start();
  EXPECT_EQ(trainer->Next("started")["resumed_epoch"], epoch);
  EXPECT_EQ(trainer->Next("epoch")["epoch"], epoch + 1);
  EXPECT_FALSE(trainer->Next("finished").is_null());
  EXPECT_EQ(trainer->ExitStatus(), 0);
  const std::string resumed = *ReadFile(JoinPath(folder_, "model-label1.ubj"));
  ASSERT_TRUE(RemoveRecursively(JoinPath(folder_, "checkpoint")).ok());
  trainer = Start();
  EXPECT_FALSE(trainer->Next("finished").is_null());
  EXPECT_EQ(trainer->ExitStatus(), 0);
  EXPECT_TRUE(*ReadFile(JoinPath(folder_, "model-label1.ubj")) == resumed);
}

TEST_F(TreeAttemptTest, FinishedTreesGoOnForMoreRounds) {
  Arch()["rounds"] = 8;
  auto trainer = Start();
  EXPECT_EQ(trainer->Next("checkpoint")["epoch"], 2);
  EXPECT_EQ(trainer->ExitStatus(), 0);
  ASSERT_TRUE(PublishFile(JoinPath(folder_, "checkpoint-000002"),
                          JoinPath(folder_, "checkpoint"))
                  .ok());
  Arch()["rounds"] = 12;
  trainer = Start();
  EXPECT_EQ(trainer->Next("started")["resumed_epoch"], 2);
  EXPECT_EQ(trainer->Next("epoch")["epoch"], 3);
  EXPECT_FALSE(trainer->Next("finished").is_null());
  EXPECT_EQ(trainer->ExitStatus(), 0);
  const std::string extended = *ReadFile(JoinPath(folder_, "model-label1.ubj"));

  // Nothing else than 12 rounds in one go: trees have no schedule.
  ASSERT_TRUE(RemoveRecursively(JoinPath(folder_, "checkpoint")).ok());
  spec_["model"]["train"]["keep_checkpoint"] = false;
  trainer = Start();
  EXPECT_TRUE(trainer->Next("checkpoint").is_null());
  EXPECT_EQ(trainer->ExitStatus(), 0);
  EXPECT_TRUE(*ReadFile(JoinPath(folder_, "model-label1.ubj")) == extended);
}

TEST_F(TreeAttemptTest, EarlyStoppingEndsItAndSaysWhichEpochWasBest) {
  Arch()["rounds"] = 2000;
  Arch()["learning_rate"] = 1;
  spec_["model"]["train"]["early_stopping"] = 2;
  const auto trainer = Start();
  const Json finished = trainer->Next("finished");
  EXPECT_EQ(trainer->ExitStatus(), 0);
  const int best = finished["metrics"]["best_epoch"];
  EXPECT_EQ(finished["metrics"]["epochs"], best + 2);
  EXPECT_LT(best, 400);
}

TEST_F(TreeAttemptTest, DartOnLeavesWithAnOutputALabelRuns) {
  Arch().merge_patch({{"booster", "dart"},
                      {"growth", "lossguide"},
                      {"max_depth", 0},
                      {"max_leaves", 6},
                      {"targets", "multi_output"}});
  const auto trainer = Start();
  const Json finished = trainer->Next("finished");
  EXPECT_EQ(trainer->ExitStatus(), 0);
  EXPECT_LT(finished["metrics"]["log_loss"], 0.5);
  EXPECT_EQ(finished["files"],
            Json({"weights.safetensors", "model.ubj", "oof.safetensors"}));
}

TEST_F(TreeAttemptTest, WhatTreesCannotDoIsRefusedBeforeTraining) {
  const Json good = spec_;
  spec_["model"]["stages"] = {{{"samples", Json::object()}}};
  EXPECT_THAT(Refusal(), HasSubstr("stages"));
  spec_ = good;
  Arch()["max_depth"] = 0;
  EXPECT_THAT(Refusal(), HasSubstr("max_depth"));
  spec_ = good;
  Arch()["features"]["bands"] = Json::array();
  EXPECT_THAT(Refusal(), HasSubstr("bands"));
  spec_ = good;
  spec_["model"]["labels"] = {"gold"};
  EXPECT_THAT(Refusal(), HasSubstr("gold"));
  spec_ = good;
  Arch()["targets"] = "multi_output";
  spec_["model"]["train"]["positive_weights"] = {{"label1", 3}};
  EXPECT_THAT(Refusal(), HasSubstr("one_per_label"));
  spec_ = good;
  spec_["trainSamples"] = {"M0000"};
  EXPECT_THAT(Refusal(), HasSubstr("at least 2"));
}

TEST_F(TreeAttemptTest, DamagedCheckpointExitsWith70) {
  ASSERT_TRUE(MakeDirectories(JoinPath(folder_, "checkpoint")).ok());
  Write("checkpoint/weights.safetensors", "x");
  Write("checkpoint/state.safetensors", "x");
  const auto trainer = Start();
  EXPECT_EQ(trainer->Next("failed")["code"], "INTERNAL");
  EXPECT_EQ(trainer->ExitStatus(), 70);
}

#else

TEST_F(TreeAttemptTest, WithoutXgboostItIsRefused) {
  EXPECT_THAT(Refusal(), HasSubstr("built without XGBoost"));
}

#endif

}  // namespace
}  // namespace foldfarm
