// The attempt contract, spoken with the real program.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/subprocess.h"
#include "common/tensorfile/tensorfile.h"
#include "nlohmann/json.hpp"
#include "tests/worker/render/made_dataset.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr int kSamples = 24;
constexpr int kTrain = 18;
constexpr MadeDatasetOptions kMade = {.num_samples = kSamples, .sam_every = 3};

// A program with its events on a pipe.
class Trainer {
 public:
  explicit Trainer(const std::string& folder) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    events_ = ends[0];
    SubprocessOptions options;
    options.argv = {FOLDFARM_BIN_DIR "/foldfarm-trainer", "attempt", folder};
    options.descriptors = {{1, 1}, {2, 2}, {3, ends[1]}};
    auto process = Subprocess::Spawn(options);
    EXPECT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
    close(ends[1]);
  }
  ~Trainer() { close(events_); }

  // The next event of that kind, or null at the end.
  Json Next(const std::string& kind) {
    for (;;) {
      const size_t end = buffer_.find('\n');
      if (end == std::string::npos) {
        char bytes[4096];
        const ssize_t size = read(events_, bytes, sizeof(bytes));
        if (size <= 0) return nullptr;
        buffer_.append(bytes, size);
        continue;
      }
      const Json event = ParseJson(buffer_.substr(0, end));
      buffer_.erase(0, end + 1);
      if (event["event"] == kind) return event;
    }
  }

  void Terminate() { process_->Signal(SIGTERM); }
  int ExitStatus() {
    const ExitState state = process_->Wait();
    EXPECT_EQ(state.signal, 0);
    return state.exit_status;
  }

 private:
  int events_ = -1;
  std::string buffer_;
  std::unique_ptr<Subprocess> process_;
};

class AttemptTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = *MakeTemporaryDirectory("attempt");
    Write("dataset.safetensors", MakeDatasetFile(kMade));
    spec_ = {{"job", "made/resnet/0"},
             {"seed", 3},
             {"tta", 2},
             {"threads", 1},
             {"device", "cpu"},
             {"trainSamples", MadeSampleIds(0, kTrain)},
             {"validationSamples", MadeSampleIds(kTrain, kSamples)},
             {"model",
              {{"name", "resnet"},
               {"train", {{"epochs", 3}, {"batch", 8}, {"lr", 0.01}}},
               {"arch", {{"resnet", {{"layers", {1}}, {"widths", {4}}}}}}}}};
  }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(JoinPath(folder_, name), bytes).ok());
  }
  std::unique_ptr<Trainer> Start() {
    Write("attempt.json", JsonText(spec_));
    return std::make_unique<Trainer>(folder_);
  }
  Json& Train() { return spec_["model"]["train"]; }

  std::string folder_;
  Json spec_;
};

TEST_F(AttemptTest, TrainsSaysSoAndLeavesWeightsAndPredictions) {
  const auto trainer = Start();
  const Json started = trainer->Next("started");
  EXPECT_EQ(started["epochs"], 3);
  EXPECT_EQ(started["resumed_epoch"], 0);
  EXPECT_EQ(started["device"], "cpu");
  for (int epoch = 1; epoch <= 3; ++epoch) {
    const Json event = trainer->Next("epoch");
    EXPECT_EQ(event["epoch"], epoch);
    for (const char* name :
         {"train_loss", "log_loss", "log_loss_clip_1e_2", "accuracy", "lr",
          "samples_per_second", "seconds"}) {
      EXPECT_TRUE(event["metrics"].contains(name)) << name;
    }
  }
  const Json finished = trainer->Next("finished");
  EXPECT_EQ(finished["files"],
            Json({"weights.safetensors", "oof.safetensors"}));
  for (const char* name : {"log_loss", "log_loss_shrink_0002",
                           "log_loss_clip_1e_2", "accuracy", "train_seconds"}) {
    EXPECT_TRUE(finished["metrics"].contains(name)) << name;
  }
  EXPECT_EQ(trainer->ExitStatus(), 0);

  const auto oof = TensorFile::Open(JoinPath(folder_, "oof.safetensors"));
  ASSERT_TRUE(oof.ok()) << oof.status();
  EXPECT_EQ(*(*oof)->Metadata("format"), "foldfarm-oof");
  EXPECT_EQ(*(*oof)->Metadata("job"), "made/resnet/0");
  EXPECT_EQ(*(*oof)->Metadata("fold"), "0");
  EXPECT_EQ(ParseJson(*(*oof)->Metadata("sample_ids")),
            spec_["validationSamples"]);
  EXPECT_EQ(ParseJson(*(*oof)->Metadata("labels")),
            Json({"label0", "label1", "label2"}));
  const auto probabilities =
      (*oof)->F32("probabilities", {kSamples - kTrain, 3});
  ASSERT_TRUE(probabilities.ok()) << probabilities.status();
  EXPECT_TRUE((*oof)->F32("draws", {2, kSamples - kTrain, 3}).ok());
  for (const float p : *probabilities) {
    EXPECT_GE(p, 0);
    EXPECT_LE(p, 1);
  }
  const auto weights =
      TensorFile::Open(JoinPath(folder_, "weights.safetensors"));
  ASSERT_TRUE(weights.ok()) << weights.status();
  EXPECT_EQ(*(*weights)->Metadata("format"), "foldfarm-weights");
  EXPECT_TRUE((*weights)->Get("base_model.layer1.0.bn2.weight").ok());
}

TEST_F(AttemptTest, StoppedAttemptResumesElsewhereWithTheSameResult) {
  Train()["epochs"] = 60;
  Train()["checkpointMinutes"] = 0;
  auto trainer = Start();
  trainer->Next("epoch");
  trainer->Next("epoch");
  trainer->Terminate();
  const Json checkpoint = trainer->Next("checkpoint");
  ASSERT_FALSE(checkpoint.is_null());
  EXPECT_EQ(trainer->ExitStatus(), 75);
  const int epoch = checkpoint["epoch"];
  EXPECT_GE(epoch, 2);
  EXPECT_FALSE(FileExists(JoinPath(folder_, "oof.safetensors")));

  // As the worker lays it out for the next attempt.
  const std::string from =
      JoinPath(folder_, checkpoint["path"].get<std::string>());
  ASSERT_TRUE(PublishFile(from, JoinPath(folder_, "checkpoint")).ok());
  trainer = Start();
  EXPECT_EQ(trainer->Next("started")["resumed_epoch"], epoch);
  EXPECT_EQ(trainer->Next("epoch")["epoch"], epoch + 1);
  EXPECT_FALSE(trainer->Next("finished").is_null());
  EXPECT_EQ(trainer->ExitStatus(), 0);
  const std::string resumed =
      *ReadFile(JoinPath(folder_, "weights.safetensors"));

  ASSERT_TRUE(RemoveRecursively(JoinPath(folder_, "checkpoint")).ok());
  trainer = Start();
  EXPECT_FALSE(trainer->Next("finished").is_null());
  EXPECT_EQ(trainer->ExitStatus(), 0);
  EXPECT_EQ(*ReadFile(JoinPath(folder_, "weights.safetensors")), resumed);
}

TEST_F(AttemptTest, CheckpointsComeAsOftenAsTheEpochsSay) {
  Train()["epochs"] = 5;
  Train()["checkpointEpochs"] = 2;
  const auto trainer = Start();
  EXPECT_EQ(trainer->Next("checkpoint")["path"], "checkpoint-000002");
  EXPECT_EQ(trainer->Next("checkpoint")["epoch"], 4);
  EXPECT_EQ(trainer->Next("checkpoint")["epoch"], 5) << "the last is kept";
  EXPECT_TRUE(trainer->Next("checkpoint").is_null());
  EXPECT_EQ(trainer->ExitStatus(), 0);
  for (const char* name : {"checkpoint-000002/weights.safetensors",
                           "checkpoint-000004/state.safetensors"}) {
    EXPECT_TRUE(FileExists(JoinPath(folder_, name))) << name;
  }
}

TEST_F(AttemptTest, TheLastCheckpointIsLeftOutWhereItIsNotWanted) {
  Train()["keepCheckpoint"] = false;
  const auto trainer = Start();
  EXPECT_TRUE(trainer->Next("checkpoint").is_null());
  EXPECT_EQ(trainer->ExitStatus(), 0);
}

TEST_F(AttemptTest, AFinishedTrainingGoesOnForMoreEpochs) {
  auto trainer = Start();
  double last_loss = 0;
  for (int epoch = 1; epoch <= 3; ++epoch) {
    last_loss = trainer->Next("epoch")["metrics"]["train_loss"];
  }
  EXPECT_EQ(trainer->Next("checkpoint")["epoch"], 3);
  EXPECT_EQ(trainer->ExitStatus(), 0);
  ASSERT_TRUE(PublishFile(JoinPath(folder_, "checkpoint-000003"),
                          JoinPath(folder_, "checkpoint"))
                  .ok());
  std::vector<std::string> weights;
  Train()["epochs"] = 6;
  for (int run = 0; run < 2; ++run) {
    trainer = Start();
    const Json started = trainer->Next("started");
    EXPECT_EQ(started["resumed_epoch"], 3);
    EXPECT_EQ(started["epochs"], 6);
    const Json event = trainer->Next("epoch");
    EXPECT_EQ(event["epoch"], 4);
    EXPECT_NEAR(event["metrics"]["train_loss"], last_loss, 0.2 * last_loss);
    const Json finished = trainer->Next("finished");
    EXPECT_EQ(finished["metrics"]["epochs"], 6);
    EXPECT_EQ(trainer->ExitStatus(), 0);
    weights.push_back(*ReadFile(JoinPath(folder_, "weights.safetensors")));
  }
  EXPECT_TRUE(weights[0] == weights[1]) << "trained on twice, two results";

  Train()["epochs"] = 2;
  trainer = Start();
  const Json failed = trainer->Next("failed");
  EXPECT_EQ(trainer->ExitStatus(), 64) << "no other attempt will do better";
  EXPECT_THAT(failed["message"].get<std::string>(),
              HasSubstr("is of epoch 3, but train.epochs is 2"));
}

TEST_F(AttemptTest, WithoutANetworkThePrevalenceOfEachLabelIsPredicted) {
  spec_["model"]["arch"] = {{"none", Json::object()}};
  const auto trainer = Start();
  EXPECT_EQ(trainer->Next("started")["epochs"], 1);
  EXPECT_EQ(trainer->Next("epoch")["epoch"], 1);
  EXPECT_FALSE(trainer->Next("finished").is_null());
  EXPECT_EQ(trainer->ExitStatus(), 0);
  const auto dataset = MakeDataset(kMade);
  double prevalence = 0;
  for (int n = 0; n < kTrain; ++n) {
    prevalence += static_cast<double>(dataset->labels()[n * 3 + 1]) / kTrain;
  }
  const auto oof = *TensorFile::Open(JoinPath(folder_, "oof.safetensors"));
  const auto probabilities = *oof->F32("probabilities", {-1, 3});
  EXPECT_NEAR(probabilities[1], prevalence, 1e-6);
  EXPECT_NEAR(probabilities[3 + 1], prevalence, 1e-6);
}

TEST_F(AttemptTest, ChosenLabelsAreAllThatIsPredictedAndScored) {
  spec_["model"]["labels"] = {"label2", "label0"};
  const auto dataset = MakeDataset(kMade);
  for (const char* arch : {"resnet", "none"}) {
    if (arch == std::string("none")) {
      spec_["model"]["arch"] = {{"none", Json::object()}};
    }
    const auto trainer = Start();
    const Json finished = trainer->Next("finished");
    ASSERT_FALSE(finished.is_null()) << arch;
    EXPECT_EQ(trainer->ExitStatus(), 0);
    const auto oof = *TensorFile::Open(JoinPath(folder_, "oof.safetensors"));
    EXPECT_EQ(ParseJson(*oof->Metadata("labels")), Json({"label0", "label2"}));
    const auto probabilities =
        oof->F32("probabilities", {kSamples - kTrain, 2});
    ASSERT_TRUE(probabilities.ok()) << probabilities.status();
    double loss = 0;
    for (int n = 0; n < kSamples - kTrain; ++n) {
      for (int i = 0; i < 2; ++i) {
        const double p = (*probabilities)[n * 2 + i];
        const bool y = dataset->labels()[(kTrain + n) * 3 + 2 * i] == 1;
        loss -= std::log(y ? p : 1 - p) / (2 * (kSamples - kTrain));
      }
    }
    EXPECT_NEAR(finished["metrics"]["log_loss"], loss, 1e-5) << arch;
  }
}

TEST_F(AttemptTest, StagesFollowEachOtherAndMayStopEarly) {
  Json first = Train();
  first["epochs"] = 20;
  first["earlyStopping"] = 1;
  first["earlyStoppingMinDelta"] = 10;  // The first epoch stays the best.
  first["balance"] = 1;
  spec_["model"]["stages"] = {
      {{"samples", {{"instrument_type", "commercial"}}}, {"train", first}},
      {{"train", Train()}}};
  auto trainer = Start();
  EXPECT_EQ(trainer->Next("started")["epochs"], 23);
  std::vector<int> stages;
  for (int epoch = 1; epoch <= 5; ++epoch) {
    const Json event = trainer->Next("epoch");
    EXPECT_EQ(event["epoch"], epoch);
    stages.push_back(event["metrics"]["stage"]);
  }
  EXPECT_EQ(stages, std::vector<int>({1, 1, 2, 2, 2}));
  const Json finished = trainer->Next("finished");
  EXPECT_EQ(finished["metrics"]["epochs"], 5);
  EXPECT_EQ(trainer->ExitStatus(), 0);
  // What happened is in the log.
  trainer = Start();
  EXPECT_THAT(trainer->Next("log")["message"].get<std::string>(),
              HasSubstr("back to epoch 1"));
  EXPECT_THAT(trainer->Next("log")["message"].get<std::string>(),
              HasSubstr("stage 2 of 2"));
  EXPECT_EQ(trainer->ExitStatus(), 0);
}

TEST_F(AttemptTest, StageOrLabelThatCannotBeExitsWith64) {
  const auto failure = [this] {
    const auto trainer = Start();
    const Json failed = trainer->Next("failed");
    EXPECT_EQ(trainer->ExitStatus(), 64);
    return failed.is_null() ? "" : failed["message"].get<std::string>();
  };
  spec_["model"]["labels"] = {"label7"};
  EXPECT_THAT(failure(), HasSubstr("\"label7\""));
  spec_["model"]["labels"] = {"label1"};
  spec_["model"]["stages"] = {
      {{"samples", {{"instrument_type", "sam"}}}, {"train", Train()}}};
  EXPECT_THAT(failure(), HasSubstr("commercial, sam_testbed"));
  spec_["model"]["stages"].clear();
  Train()["swaStart"] = 0.5;
  Train()["ema"] = 0.9;
  EXPECT_THAT(failure(), HasSubstr("swa_start"));
}

TEST_F(AttemptTest, BadConfigurationExitsWith64AndSaysWhy) {
  spec_["trainSamples"][0] = "S9999";
  auto trainer = Start();
  Json failed = trainer->Next("failed");
  EXPECT_EQ(failed["code"], "INVALID_ARGUMENT");
  EXPECT_THAT(failed["message"].get<std::string>(), HasSubstr("S9999"));
  EXPECT_EQ(trainer->ExitStatus(), 64);

  spec_["model"]["arch"]["resnet"]["widths"] = {4, 8};
  trainer = Start();
  EXPECT_EQ(trainer->ExitStatus(), 64);
}

TEST_F(AttemptTest, DivergenceExitsWith70AndSaysWhy) {
  Train()["lr"] = 1e30;
  Train()["schedule"] = {{"kind", "constant"}};
  const auto trainer = Start();
  const Json failed = trainer->Next("failed");
  EXPECT_EQ(failed["code"], "INTERNAL");
  EXPECT_THAT(failed["message"].get<std::string>(), HasSubstr("diverged"));
  EXPECT_EQ(trainer->ExitStatus(), 70);
}

TEST_F(AttemptTest, RunningOutOfMemoryExitsWith71) {
  // Needs some 16 TB.
  spec_["model"]["arch"] = {{"rnn", {{"hidden", 1000000}, {"layers", 1}}}};
  const auto trainer = Start();
  EXPECT_EQ(trainer->Next("failed")["code"], "RESOURCE_EXHAUSTED");
  EXPECT_EQ(trainer->ExitStatus(), 71);
}

TEST_F(AttemptTest, MissingDatasetExitsWith70SinceAnotherAttemptMayHaveIt) {
  ASSERT_TRUE(RemoveRecursively(JoinPath(folder_, "dataset.safetensors")).ok());
  const auto trainer = Start();
  EXPECT_EQ(trainer->Next("failed")["code"], "INTERNAL");
  EXPECT_EQ(trainer->ExitStatus(), 70);
}

TEST_F(AttemptTest, DamagedCheckpointExitsWith70) {
  ASSERT_TRUE(MakeDirectories(JoinPath(folder_, "checkpoint")).ok());
  Write("checkpoint/weights.safetensors", "x");
  Write("checkpoint/state.safetensors", "x");
  const auto trainer = Start();
  EXPECT_EQ(trainer->Next("failed")["code"], "INTERNAL");
  EXPECT_EQ(trainer->ExitStatus(), 70);
}

}  // namespace
}  // namespace foldfarm
