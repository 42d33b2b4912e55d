#include "worker/training/staged_training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "tests/worker/render/made_dataset.h"
#include "tests/worker/training/never_stop.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;

constexpr int kStagedTrain = 18;
constexpr int kStagedSamples = 23;

std::shared_ptr<const PreparedDataset> Dataset() {
  static const auto& dataset = *new std::shared_ptr<const PreparedDataset>(
      MakeDataset({.num_samples = kStagedSamples, .sam_every = 3}));
  return dataset;
}

TrainOptions Train(int epochs) {
  TrainOptions train;
  train.epochs = epochs;
  train.lr = 3e-3;
  return train;
}

StagedTrainingInput Input(std::vector<StageOptions> stages) {
  StagedTrainingInput input;
  input.dataset = Dataset();
  input.train_samples = MadeSampleIds(0, kStagedTrain);
  input.validation_samples = MadeSampleIds(kStagedTrain, kStagedSamples);
  input.render.mix_prob = 0.3;
  input.stages = std::move(stages);
  input.label_columns = {0, 1, 2};
  input.seed = 5;
  input.clock = &Clock::Real();
  return input;
}

// Commercial samples with a moving average, then all with a stochastic one.
std::vector<StageOptions> TwoStages() {
  StageOptions first = {.samples = {{"instrument_type", "commercial"}},
                        .train = Train(2)};
  first.train.ema = 0.8;
  StageOptions second = {.samples = {}, .train = Train(3)};
  second.train.swa_start = 0.5;
  second.train.lr = 1e-3;
  second.train.optimizer = OptimizerKind::kSgd;
  second.train.balance = 0.5;
  return {first, second};
}

ArchOptions OneBlockResnet() {
  ResnetOptions arch;
  arch.layers = {1};
  arch.widths = {4};
  arch.head_dropout = 0.2;
  return arch;
}

// Learns the made samples in some forty epochs.
ArchOptions QuickLearner() {
  Conv1dOptions arch;
  arch.stem = 16;
  arch.widths = {16, 16};
  arch.head_dropout = 0;
  return arch;
}

std::unique_ptr<StagedTraining> Start(
    StagedTrainingInput input, const ArchOptions& arch = OneBlockResnet()) {
  ConfigureTorch(1, "cpu");
  SeedWeights(input.seed);
  input.model = *BuildModel(arch, static_cast<int>(input.label_columns.size()));
  auto training = StagedTraining::Create(std::move(input));
  EXPECT_TRUE(training.ok()) << training.status();
  return *std::move(training);
}

// Trains to that epoch or the end; the stage of each epoch.
std::vector<double> TrainTo(StagedTraining& training, int epoch) {
  std::vector<double> stages;
  while (training.epoch() < epoch && !training.done()) {
    const auto metrics = training.TrainEpoch(kNeverStop);
    EXPECT_TRUE(metrics.ok()) << metrics.status();
    if (!metrics.ok()) break;
    stages.push_back(metrics->count("stage") > 0 ? metrics->at("stage") : 0);
  }
  return stages;
}

class StagedTrainingTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = *MakeTemporaryDirectory("staged"); }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  std::string Weights(StagedTraining& training) {
    const std::string path = JoinPath(folder_, "w.safetensors");
    EXPECT_TRUE(training.Finish(kNeverStop).ok());
    EXPECT_TRUE(training.SaveWeights(path).ok());
    return *ReadFile(path);
  }

  std::string folder_;
};

TEST_F(StagedTrainingTest, EachStageGoesOnFromTheOneBefore) {
  std::vector<std::string> log;
  StagedTrainingInput input = Input(TwoStages());
  input.log = [&](absl::string_view line) { log.emplace_back(line); };
  const auto both = Start(input);
  EXPECT_EQ(both->total_epochs(), 5);
  EXPECT_EQ(TrainTo(*both, 5), std::vector<double>({1, 1, 2, 2, 2}));
  EXPECT_TRUE(both->done());
  EXPECT_THAT(log, Contains(HasSubstr("stage 2 of 2: 18 train samples")));

  // The first stage alone is a training on those samples alone.
  std::vector<StageOptions> stages = TwoStages();
  stages.pop_back();
  const auto first = Start(Input(stages));
  EXPECT_EQ(TrainTo(*first, 2), std::vector<double>({0, 0}));
  StagedTrainingInput alone = Input(stages);
  alone.stages[0].samples.clear();
  alone.train_samples.clear();
  for (int n = 0; n < kStagedTrain; ++n) {
    if (n % 3 != 0) alone.train_samples.push_back(MadeSampleIds(n, n + 1)[0]);
  }
  const auto same = Start(alone);
  TrainTo(*same, 2);
  EXPECT_EQ(Weights(*first), Weights(*same));

  // A second stage that cannot move leaves the averaged weights of the first.
  stages = TwoStages();
  stages[1].train = Train(1);
  stages[1].train.lr = 1e-30;
  stages[1].train.weight_decay = 0;
  const auto unmoved = Start(Input(stages));
  TrainTo(*unmoved, 3);
  const std::string path = JoinPath(folder_, "unmoved.safetensors");
  ASSERT_TRUE(unmoved->SaveWeights(path).ok());
  ASSERT_TRUE(first->SaveWeights(JoinPath(folder_, "first.safetensors")).ok());
  const auto left = *TensorFile::Open(JoinPath(folder_, "first.safetensors"));
  const auto right = *TensorFile::Open(path);
  EXPECT_EQ(left->Get("fc.weight")->bytes, right->Get("fc.weight")->bytes);
}

TEST_F(StagedTrainingTest, ResumedAtAnyEpochEndsWithTheSameWeights) {
  const auto through = Start(Input(TwoStages()));
  TrainTo(*through, 5);
  const std::string expected = Weights(*through);
  for (int epoch = 1; epoch <= 5; ++epoch) {
    const std::string checkpoint =
        JoinPath(folder_, "checkpoint-" + std::to_string(epoch));
    const auto killed = Start(Input(TwoStages()));
    TrainTo(*killed, epoch);
    ASSERT_TRUE(killed->SaveCheckpoint(checkpoint).ok());
    const auto resumed = Start(Input(TwoStages()));
    const absl::Status loaded = resumed->LoadCheckpoint(checkpoint);
    ASSERT_TRUE(loaded.ok()) << loaded;
    EXPECT_EQ(resumed->epoch(), epoch);
    TrainTo(*resumed, 5);
    EXPECT_EQ(Weights(*resumed), expected) << "resumed after epoch " << epoch;
  }
}

TEST_F(StagedTrainingTest, StopAtTheBorderResumesInTheNewStage) {
  const auto through = Start(Input(TwoStages()));
  TrainTo(*through, 5);
  const std::string checkpoint = JoinPath(folder_, "checkpoint");
  const auto stopped = Start(Input(TwoStages()));
  TrainTo(*stopped, 2);
  const auto metrics = stopped->TrainEpoch([] { return true; });
  EXPECT_EQ(metrics.status().code(), absl::StatusCode::kCancelled);
  ASSERT_TRUE(stopped->SaveCheckpoint(checkpoint).ok());
  const auto resumed = Start(Input(TwoStages()));
  ASSERT_TRUE(resumed->LoadCheckpoint(checkpoint).ok());
  EXPECT_EQ(resumed->epoch(), 2);
  TrainTo(*resumed, 5);
  EXPECT_EQ(Weights(*resumed), Weights(*through));
}

TEST_F(StagedTrainingTest, StageThatStopsEarlyHandsOnItsBestWeights) {
  std::vector<std::string> log;
  std::vector<StageOptions> stages = TwoStages();
  stages[0].train.epochs = 30;
  stages[0].train.early_stopping = 2;
  stages[0].train.early_stopping_min_delta = 10;
  StagedTrainingInput input = Input(stages);
  input.log = [&](absl::string_view line) { log.emplace_back(line); };
  const auto through = Start(input);
  EXPECT_EQ(through->total_epochs(), 33);
  EXPECT_EQ(TrainTo(*through, 33), std::vector<double>({1, 1, 1, 2, 2, 2}));
  EXPECT_EQ(through->epoch(), 6);
  EXPECT_THAT(log, Contains(AllOf(HasSubstr("stopped early after epoch 3"),
                                  HasSubstr("back to epoch 1"))));
  for (const int epoch : {2, 3, 5}) {
    const std::string checkpoint =
        JoinPath(folder_, "checkpoint-" + std::to_string(epoch));
    const auto killed = Start(Input(stages));
    TrainTo(*killed, epoch);
    ASSERT_TRUE(killed->SaveCheckpoint(checkpoint).ok());
    const auto resumed = Start(Input(stages));
    ASSERT_TRUE(resumed->LoadCheckpoint(checkpoint).ok());
    TrainTo(*resumed, 33);
    EXPECT_EQ(resumed->epoch(), 6);
    EXPECT_EQ(Weights(*resumed), Weights(*through)) << epoch;
  }
}

TEST_F(StagedTrainingTest, CheckpointOfAStageThatIsNotThereIsRefused) {
  const std::string checkpoint = JoinPath(folder_, "checkpoint");
  const auto both = Start(Input(TwoStages()));
  TrainTo(*both, 3);
  ASSERT_TRUE(both->SaveCheckpoint(checkpoint).ok());
  const auto one = Start(Input({TwoStages()[0]}));
  const absl::Status status = one->LoadCheckpoint(checkpoint);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("stage 1"));
}

TEST_F(StagedTrainingTest, StagesThatCannotBeAreRefusedBeforeTraining) {
  const auto message = [](const std::vector<StageOptions>& stages) {
    const absl::Status status = StagedTraining::Create(Input(stages)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  std::vector<StageOptions> stages = TwoStages();
  stages[1].samples = {{"instrument_type", "sam"}};
  EXPECT_THAT(message(stages), AllOf(HasSubstr("stages[1].samples"),
                                     HasSubstr("commercial, sam_testbed")));
  stages[1].samples = {{"instrument", "sam_testbed"}};
  EXPECT_THAT(message(stages), HasSubstr("no column \"instrument\""));
  stages = TwoStages();
  stages[1].train.positive_weights = {{"basalt", 2}};
  EXPECT_THAT(message(stages), HasSubstr("\"basalt\""));
}

// One stage that learns what there is to learn.
StagedTrainingInput LearningInput() {
  StagedTrainingInput input = Input({{.samples = {}, .train = Train(40)}});
  input.stages[0].train.lr = 0.01;
  input.stages[0].train.batch = 6;
  input.stages[0].train.validate_every = 100;
  input.render.mix_prob = 0;
  input.render.mz_var = 0.1;
  return input;
}

TEST_F(StagedTrainingTest, HeavierPositivesAreFoundMoreOften) {
  const auto mean_of_label0 = [](double weight) {
    StagedTrainingInput input = LearningInput();
    input.stages[0].train.positive_weights = {{"label0", weight}};
    const auto training = Start(input, QuickLearner());
    TrainTo(*training, 10);
    const auto predictions = training->Predict(1, kNeverStop);
    double sum = 0;
    for (size_t i = 0; i < predictions->probabilities.size(); i += 3) {
      sum += predictions->probabilities[i];
    }
    return sum / static_cast<double>(predictions->num_samples);
  };
  EXPECT_GT(mean_of_label0(20), mean_of_label0(1) + 0.02);
}

TEST_F(StagedTrainingTest, ChosenLabelsAreLearnedAndNoOthers) {
  StagedTrainingInput input = LearningInput();
  input.label_columns = {1, 2};
  // What was learned shows on the train samples themselves.
  input.validation_samples = input.train_samples;
  const auto training = Start(input, QuickLearner());
  TrainTo(*training, 40);
  const auto predictions = training->Predict(4, kNeverStop);
  ASSERT_TRUE(predictions.ok());
  ASSERT_EQ(predictions->num_labels, 2);
  int right = 0;
  for (int n = 0; n < kStagedTrain; ++n) {
    for (int label = 1; label < 3; ++label) {
      const float p = predictions->probabilities[n * 2 + label - 1];
      right += (p > 0.5) == (Dataset()->labels()[n * 3 + label] == 1) ? 1 : 0;
    }
  }
  EXPECT_GE(right, 34) << "of " << 2 * kStagedTrain;
}

}  // namespace
}  // namespace foldfarm
