// Trainings that go on for more epochs than their checkpoint was written for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/tensorfile/tensorfile.h"
#include "tests/worker/render/made_dataset.h"
#include "tests/worker/training/never_stop.h"
#include "worker/training/schedule.h"
#include "worker/training/staged_training.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

// At a constant rate, the first epochs of a longer training are those of a
// shorter one.
TrainOptions Constant(int epochs) {
  TrainOptions train;
  train.epochs = epochs;
  train.lr = 3e-3;
  train.schedule.kind = ScheduleKind::kConstant;
  return train;
}

class MoreEpochsTest : public ::testing::Test {
 protected:
  static constexpr int kTrain = 16;
  static constexpr int kSamples = 22;
  using Stages = std::vector<StageOptions>;

  void SetUp() override { folder_ = *MakeTemporaryDirectory("more_epochs"); }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  std::unique_ptr<StagedTraining> Start(const Stages& stages) {
    static const auto& dataset = *new std::shared_ptr<const PreparedDataset>(
        MakeDataset({.num_samples = kSamples, .sam_every = 3}));
    StagedTrainingInput input;
    input.dataset = dataset;
    input.train_samples = MadeSampleIds(0, kTrain);
    input.validation_samples = MadeSampleIds(kTrain, kSamples);
    input.render.mix_prob = 0.3;
    input.stages = stages;
    input.label_columns = {0, 1, 2};
    input.seed = 5;
    input.clock = &Clock::Real();
    ConfigureTorch(1, "cpu");
    SeedWeights(input.seed);
    ResnetOptions arch;
    arch.layers = {1};
    arch.widths = {4};
    arch.head_dropout = 0.2;
    input.model = *BuildModel(arch, 3);
    auto training = StagedTraining::Create(std::move(input));
    EXPECT_TRUE(training.ok()) << training.status();
    return *std::move(training);
  }
  std::unique_ptr<StagedTraining> Start(const TrainOptions& train) {
    return Start(Stages{{.samples = {}, .train = train}});
  }

  // Trains to that epoch or the end.
  static Metrics TrainTo(StagedTraining& training, int epoch) {
    Metrics last;
    while (training.epoch() < epoch && !training.done()) {
      auto metrics = training.TrainEpoch(kNeverStop);
      EXPECT_TRUE(metrics.ok()) << metrics.status();
      if (!metrics.ok()) break;
      last = *std::move(metrics);
    }
    return last;
  }

  std::string Save(StagedTraining& training) {
    const std::string path = absl::StrCat(folder_, "/", ++saved_);
    EXPECT_TRUE(training.SaveCheckpoint(path).ok());
    return path;
  }
  // Trains a whole training and returns its last checkpoint.
  std::string Trained(const TrainOptions& train) {
    const auto training = Start(train);
    TrainTo(*training, train.epochs);
    return Save(*training);
  }
  template <typename Options>
  std::unique_ptr<StagedTraining> GoOn(const Options& options,
                                       const std::string& checkpoint) {
    auto training = Start(options);
    const absl::Status loaded = training->LoadCheckpoint(checkpoint);
    EXPECT_TRUE(loaded.ok()) << loaded;
    return training;
  }

  // Of the ended training.
  std::string Weights(StagedTraining& training) {
    const std::string path = JoinPath(folder_, "w.safetensors");
    EXPECT_TRUE(training.Finish(kNeverStop).ok());
    EXPECT_TRUE(training.SaveWeights(path).ok());
    return *ReadFile(path);
  }
  std::vector<float> FirstLayer(StagedTraining& training) {
    const std::string path = JoinPath(folder_, "layer.safetensors");
    EXPECT_TRUE(training.SaveWeights(path).ok());
    const auto file = *TensorFile::Open(path);
    const auto values = file->F32("base_model.conv1.weight", {-1, -1, -1, -1});
    EXPECT_TRUE(values.ok()) << values.status();
    return {values->begin(), values->end()};
  }

  std::string folder_;
  int saved_ = 0;
};

TEST_F(MoreEpochsTest, AtAConstantRateItIsTheLongerTraining) {
  const auto through = Start(Constant(7));
  TrainTo(*through, 7);
  const auto extended = GoOn(Constant(7), Trained(Constant(4)));
  EXPECT_EQ(extended->epoch(), 4);
  EXPECT_EQ(extended->total_epochs(), 7);
  EXPECT_FALSE(extended->done());
  TrainTo(*extended, 7);
  EXPECT_TRUE(extended->done());
  EXPECT_TRUE(Weights(*extended) == Weights(*through));
}

TEST_F(MoreEpochsTest, TheScheduleIsThatOfTheNewNumberFromThereOn) {
  TrainOptions train = Constant(4);
  train.schedule.kind = ScheduleKind::kCosine;
  const std::string checkpoint = Trained(train);
  train.epochs = 8;
  const auto extended = GoOn(train, checkpoint);
  const Metrics fifth = TrainTo(*extended, 5);
  // 16 samples in batches of 8: the second and last step.
  EXPECT_DOUBLE_EQ(fifth.at("lr"),
                   train.lr * LearningRateFactor(train.schedule, 8, 4.5));
  // Killed and resumed on the way, it ends alike.
  const auto resumed = GoOn(train, Save(*extended));
  TrainTo(*extended, 8);
  TrainTo(*resumed, 8);
  EXPECT_TRUE(Weights(*resumed) == Weights(*extended));
}

TEST_F(MoreEpochsTest, AMovingAverageGoesOn) {
  TrainOptions train = Constant(3);
  train.ema = 0.9;
  const std::string checkpoint = Trained(train);
  train.epochs = 5;
  const auto through = Start(train);
  TrainTo(*through, 5);
  const auto extended = GoOn(train, checkpoint);
  TrainTo(*extended, 5);
  EXPECT_TRUE(Weights(*extended) == Weights(*through));
}

TEST_F(MoreEpochsTest, AStochasticAverageBeginsAnew) {
  TrainOptions train = Constant(4);
  train.swa_start = 0.5;
  const std::string checkpoint = Trained(train);
  train.epochs = 6;
  // From epoch 3 on by the share, but 3 and 4 were trained before.
  const auto live = Start(Constant(6));
  TrainTo(*live, 5);
  std::vector<float> mean = FirstLayer(*live);
  TrainTo(*live, 6);
  const std::vector<float> last = FirstLayer(*live);
  for (size_t i = 0; i < mean.size(); ++i) mean[i] = (mean[i] + last[i]) / 2;
  auto extended = GoOn(train, checkpoint);
  TrainTo(*extended, 5);
  extended = GoOn(train, Save(*extended));
  TrainTo(*extended, 6);
  ASSERT_TRUE(extended->Finish(kNeverStop).ok());
  const std::vector<float> averaged = FirstLayer(*extended);
  ASSERT_EQ(averaged.size(), mean.size());
  for (size_t i = 0; i < mean.size(); ++i) {
    EXPECT_NEAR(averaged[i], mean[i], 1e-6) << i;
  }
}

TEST_F(MoreEpochsTest, WhatStoppedEarlyIsPatientAgainAndKeepsItsBest) {
  TrainOptions train = Constant(20);
  train.early_stopping = 2;
  train.early_stopping_min_delta = 10;  // Nothing is better than the first.
  const auto stopped = Start(train);
  TrainTo(*stopped, 20);
  ASSERT_EQ(stopped->epoch(), 3);
  const std::string checkpoint = Save(*stopped);
  const std::string best = Weights(*stopped);
  EXPECT_TRUE(GoOn(train, checkpoint)->done()) << "as after a kill";

  train.epochs = 21;
  const auto extended = GoOn(train, checkpoint);
  EXPECT_FALSE(extended->done());
  EXPECT_EQ(extended->stopping().best_epoch, 1);
  TrainTo(*extended, 21);
  EXPECT_EQ(extended->epoch(), 5);
  EXPECT_TRUE(Weights(*extended) == best);
}

TEST_F(MoreEpochsTest, EarlyStoppingCanBeSwitchedOnAndOff) {
  TrainOptions train = Constant(3);
  const std::string without = Trained(train);
  train.early_stopping = 2;
  const std::string with = Trained(train);
  train.epochs = 5;
  const auto on = GoOn(train, without);
  EXPECT_EQ(on->stopping().best_epoch, 0);
  TrainTo(*on, 5);
  EXPECT_GE(on->stopping().best_epoch, 4);
  train.early_stopping = 0;
  const auto through = Start(train);
  TrainTo(*through, 5);
  const auto off = GoOn(train, with);
  TrainTo(*off, 5);
  EXPECT_TRUE(Weights(*off) == Weights(*through));
}

TEST_F(MoreEpochsTest, OfStagesTheLastOneGoesOn) {
  Stages stages = {
      {.samples = {{"instrument_type", "commercial"}}, .train = Constant(2)},
      {.samples = {}, .train = Constant(2)}};
  const auto both = Start(stages);
  TrainTo(*both, 4);
  const std::string checkpoint = Save(*both);
  stages[1].train.epochs = 4;
  const auto through = Start(stages);
  TrainTo(*through, 6);
  const auto extended = GoOn(stages, checkpoint);
  EXPECT_EQ(extended->epoch(), 4);
  EXPECT_EQ(extended->total_epochs(), 6);
  TrainTo(*extended, 6);
  EXPECT_TRUE(Weights(*extended) == Weights(*through));
}

TEST_F(MoreEpochsTest, FewerEpochsThanWereTrainedAreRefused) {
  const std::string checkpoint = Trained(Constant(4));
  const absl::Status status = Start(Constant(3))->LoadCheckpoint(checkpoint);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("is of epoch 4, but train.epochs is 3"));
  // As many are all there, as after a kill before the result.
  EXPECT_TRUE(GoOn(Constant(4), checkpoint)->done());
  // Another average than there is cannot go on.
  TrainOptions averaged = Constant(6);
  averaged.ema = 0.9;
  EXPECT_TRUE(
      absl::IsInvalidArgument(Start(averaged)->LoadCheckpoint(checkpoint)));
}

}  // namespace
}  // namespace foldfarm
