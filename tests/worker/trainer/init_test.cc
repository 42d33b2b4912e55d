// An attempt that starts from weights which the worker has put beside it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/tensorfile/tensorfile.h"
#include "nlohmann/json.hpp"
#include "tests/worker/render/made_dataset.h"
#include "tests/worker/trainer/running_trainer.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr int kInitSamples = 16;
constexpr int kInitTrain = 12;

class InitTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeTemporaryDirectory("init");
    Write("dataset.safetensors",
          MakeDatasetFile({.num_samples = kInitSamples}));
    spec_ = {{"job", "made/conv1d/0"},
             {"seed", 3},
             {"tta", 1},
             {"threads", 1},
             {"device", "cpu"},
             {"trainSamples", MadeSampleIds(0, kInitTrain)},
             {"validationSamples", MadeSampleIds(kInitTrain, kInitSamples)},
             {"model",
              {{"name", "conv1d"},
               {"train",
                {{"epochs", 2},
                 {"batch", 4},
                 {"lr", 0.0},
                 {"checkpoint_epochs", 1},
                 {"keep_checkpoint", false}}},
               {"arch", {{"conv1d", {{"widths", {8}}, {"stem", 8}}}}}}}};
  }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  std::string Path(const std::string& name) const {
    return JoinPath(folder_, name);
  }
  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(Path(name), bytes).ok());
  }
  // Runs to the end and returns the exit status; keeps what it logged and the
  // message that it failed with.
  int Run() {
    log_ = failure_ = "";
    EXPECT_TRUE(RemoveRecursively(Path("checkpoint-000001")).ok());
    Write("attempt.json", JsonText(spec_));
    RunningTrainer trainer(folder_);
    for (Json event = trainer.Next(); !event.is_null();
         event = trainer.Next()) {
      if (event["event"] == "log") {
        log_ += event["message"].get<std::string>() + "\n";
      }
      if (event["event"] == "failed") failure_ = event["message"];
      if (event["event"] == "epoch") trained_ = true;
    }
    return trainer.ExitStatus();
  }
  Json& Model() { return spec_["model"]; }

  std::string folder_, log_, failure_;
  bool trained_ = false;
  Json spec_;
};

// With a learning rate of 0 a network ends as it began.
TEST_F(InitTest, WeightsOfOneJobStartAnother) {
  ASSERT_EQ(Run(), 0);
  const std::string first = *ReadFile(Path("weights.safetensors"));
  spec_["seed"] = 4;
  ASSERT_EQ(Run(), 0);
  EXPECT_NE(*ReadFile(Path("weights.safetensors")), first);

  Write("init.weights", first);
  Model()["init"] = {{"weights", "conv1d-of-seed-3"}};
  ASSERT_EQ(Run(), 0);
  EXPECT_THAT(log_, AllOf(HasSubstr("init: weights conv1d-of-seed-3: loaded"),
                          HasSubstr("100 % of the network's values")));
  // But for BatchNorm's statistics, which move without being learned.
  const auto file = *TensorFile::Open(Path("weights.safetensors"));
  const auto source = *TensorFile::Parse(first, "first");
  for (const auto& [name, view] : file->tensors()) {
    if (name.ends_with("weight") || name.ends_with("bias")) {
      EXPECT_EQ(view.bytes, source->Get(name)->bytes) << name;
    }
  }

  // A resumed attempt starts from its checkpoint, not from the file again.
  ASSERT_TRUE(PublishFile(Path("checkpoint-000001"), Path("checkpoint")).ok());
  ASSERT_TRUE(RemoveRecursively(Path("init.weights")).ok());
  EXPECT_EQ(Run(), 0);
  EXPECT_EQ(log_, "");
}

TEST_F(InitTest, WeightsOfAnotherArchitectureExitWith64BeforeTraining) {
  ASSERT_EQ(Run(), 0);
  Write("init.weights", *ReadFile(Path("weights.safetensors")));
  trained_ = false;
  Model()["init"] = {{"weights", "conv1d"}};
  Model()["arch"] = {{"rnn", {{"hidden", 4}, {"layers", 1}}}};
  EXPECT_EQ(Run(), 64);
  EXPECT_THAT(failure_, AllOf(HasSubstr("init: weights conv1d: it fits"),
                              HasSubstr("lstm.weight_ih_l0")));
  EXPECT_FALSE(trained_);
}

TEST_F(InitTest, PickleWithCodeInItExitsWith64BeforeTraining) {
  Model()["init"] = {{"weights", "bad.pt"}};
  Write("init.weights",
        "\x80\x02"
        "cos\nsystem\nU\x02id\x85R.");
  EXPECT_EQ(Run(), 64);
  EXPECT_THAT(failure_, HasSubstr("os.system"));
  EXPECT_FALSE(trained_);
}

TEST_F(InitTest, TruncatedWeightsExitWith64BeforeTraining) {
  ASSERT_EQ(Run(), 0);
  const std::string bytes = *ReadFile(Path("weights.safetensors"));
  trained_ = false;
  Model()["init"] = {{"weights", "cut.safetensors"}};
  Write("init.weights", bytes.substr(0, bytes.size() - 100));
  EXPECT_EQ(Run(), 64);
  EXPECT_THAT(failure_, HasSubstr("cut short?"));
  EXPECT_FALSE(trained_);
}

TEST_F(InitTest, WeightsThatTheWorkerDidNotPutThereExitWith70) {
  Model()["init"] = {{"weights", "conv1d"}};
  EXPECT_EQ(Run(), 70);
  EXPECT_THAT(failure_, HasSubstr("init.weights"));
}

}  // namespace
}  // namespace foldfarm
