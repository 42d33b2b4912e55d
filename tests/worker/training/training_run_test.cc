#include "worker/training/training_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "tests/worker/render/made_dataset.h"
#include "tests/worker/training/never_stop.h"
#include "worker/training/tensor_io.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

using ::testing::HasSubstr;

constexpr int kTrain = 17;
constexpr int kValidation = 5;

struct RunConfig {
  const char* name = "";
  ArchOptions arch;
  TrainOptions train;
  RenderOptions render;
  std::vector<double> positive_weights;
};

ResnetOptions TinyResnet() {
  ResnetOptions options;
  options.layers = {1, 1};
  options.widths = {4, 8};
  options.head_dropout = 0.2;
  return options;
}

RunConfig Base() {
  RunConfig config;
  config.name = "resnet";
  config.arch = TinyResnet();
  config.train.epochs = 4;
  config.train.batch = 8;
  config.train.lr = 3e-3;
  return config;
}

// A run and what it borrows.
struct StartedRun {
  std::unique_ptr<Renderer> renderer;
  std::shared_ptr<Model> model;
  std::unique_ptr<TrainingRun> run;
  TrainingRun* operator->() const { return run.get(); }
};

StartedRun Start(const RunConfig& config, int num_train = kTrain,
                 uint32_t seed = 5) {
  static const auto& dataset = *new std::shared_ptr<const PreparedDataset>(
      MakeDataset({.num_samples = kTrain + kValidation}));
  std::vector<std::string> ids = MadeSampleIds(0, num_train);
  for (const std::string& id : MadeSampleIds(kTrain, kTrain + kValidation)) {
    ids.push_back(id);
  }
  StartedRun result;
  result.renderer =
      *Renderer::Create(*dataset, ids, num_train, config.render, "cpu");
  ConfigureTorch(1, "cpu");
  SeedWeights(seed);
  TrainingInput input;
  input.model = *BuildModel(config.arch, 3);
  result.model = input.model;
  input.positive_weights = config.positive_weights;
  input.renderer = result.renderer.get();
  input.num_train = num_train;
  input.num_validation = kValidation;
  input.options = config.train;
  input.seed = seed;
  input.clock = &Clock::Real();
  auto run = TrainingRun::Create(std::move(input));
  EXPECT_TRUE(run.ok()) << run.status();
  result.run = *std::move(run);
  return result;
}

// Up to that epoch, or until the run is done.
void TrainTo(const StartedRun& run, int epoch) {
  while (run->epoch() < epoch && !run->done()) {
    const auto metrics = run->TrainEpoch(kNeverStop);
    ASSERT_TRUE(metrics.ok()) << metrics.status();
  }
}

class TrainingRunTest : public ::testing::TestWithParam<RunConfig> {
 protected:
  void SetUp() override { folder_ = *MakeTemporaryDirectory("training"); }
  void TearDown() override { EXPECT_TRUE(RemoveRecursively(folder_).ok()); }

  // The bytes of the run's weights.
  std::string Weights(const StartedRun& run) {
    const std::string path = JoinPath(folder_, "w.safetensors");
    EXPECT_TRUE(run->SaveWeights(path).ok());
    return *ReadFile(path);
  }

  std::string folder_;
};

std::vector<RunConfig> ResumeConfigs() {
  RunConfig resnet = Base();
  RunConfig gru = Base();
  gru.name = "gru_mixed";
  RnnOptions rnn;
  rnn.hidden = 6;
  rnn.layers = 2;
  gru.arch = rnn;
  gru.render.mix_prob = 0.5;
  RunConfig vit = Base();
  vit.name = "vit1d_averaged";
  Vit1dOptions transformer;
  transformer.dim = 8;
  transformer.depth = 2;
  transformer.heads = 2;
  vit.arch = transformer;
  vit.train.ema = 0.9;
  RunConfig conv = Base();
  conv.name = "conv1d_sgd_restarts";
  Conv1dOptions options;
  options.stem = 8;
  options.widths = {8, 8};
  options.dropout = 0.1;
  conv.arch = options;
  conv.train.optimizer = OptimizerKind::kSgd;
  conv.train.schedule.kind = ScheduleKind::kCosineWarmRestarts;
  conv.render.sub_bg_prob = 0.5;
  RunConfig half = Base();
  half.name = "resnet_bf16";
  half.train.precision = Precision::kBf16;
  RunConfig swa = Base();
  swa.name = "resnet_weights_averaged";
  swa.train.swa_start = 0.25;
  swa.train.optimizer = OptimizerKind::kAdam;
  swa.train.loss = LossKind::kFocal;
  RunConfig early = Base();
  early.name = "resnet_stopped_early";
  early.train.epochs = 12;
  early.train.early_stopping = 2;
  early.train.early_stopping_min_delta = 10;  // The first score is the best.
  early.train.ema = 0.5;
  early.train.loss = LossKind::kAsymmetric;
  early.positive_weights = {1, 2, 0.5};
  return {resnet, gru, vit, conv, half, swa, early};
}

TEST_P(TrainingRunTest, ResumedTrainingEndsWithTheSameWeightsBitForBit) {
  const StartedRun through = Start(GetParam());
  TrainTo(through, 4);

  const std::string checkpoint = JoinPath(folder_, "checkpoint");
  {
    const StartedRun first = Start(GetParam());
    TrainTo(first, 2);
    ASSERT_TRUE(first->SaveCheckpoint(checkpoint).ok());
  }
  const StartedRun second = Start(GetParam());
  const absl::Status loaded = second->LoadCheckpoint(checkpoint);
  ASSERT_TRUE(loaded.ok()) << loaded;
  EXPECT_EQ(second->epoch(), 2);
  TrainTo(second, 4);
  ASSERT_TRUE(through->Finish(kNeverStop).ok());
  ASSERT_TRUE(second->Finish(kNeverStop).ok());

  EXPECT_EQ(Weights(through), Weights(second));
  EXPECT_EQ(through->Predict(2, kNeverStop)->draws,
            second->Predict(2, kNeverStop)->draws);
}

TEST_P(TrainingRunTest, FinishStoppedHalfwayAndResumedGivesTheSameWeights) {
  const StartedRun through = Start(GetParam());
  TrainTo(through, 4);
  ASSERT_TRUE(through->Finish(kNeverStop).ok());
  const std::string finished = Weights(through);

  const std::string checkpoint = JoinPath(folder_, "checkpoint");
  const StartedRun stopped = Start(GetParam());
  TrainTo(stopped, 4);
  int batches = 0;
  const absl::Status status = stopped->Finish([&] { return ++batches > 1; });
  EXPECT_EQ(status.code(), GetParam().train.swa_start > 0
                               ? absl::StatusCode::kCancelled
                               : absl::StatusCode::kOk);
  ASSERT_TRUE(stopped->SaveCheckpoint(checkpoint).ok());
  const StartedRun resumed = Start(GetParam());
  const absl::Status loaded = resumed->LoadCheckpoint(checkpoint);
  ASSERT_TRUE(loaded.ok()) << loaded;
  EXPECT_EQ(resumed->done(), stopped->done());
  ASSERT_TRUE(resumed->Finish(kNeverStop).ok());
  EXPECT_EQ(Weights(resumed), finished);
}

TEST_P(TrainingRunTest, StopInAnEpochLeavesTheStateOfItsStart) {
  const StartedRun undisturbed = Start(GetParam());
  TrainTo(undisturbed, 1);
  const std::string at_boundary = Weights(undisturbed);
  TrainTo(undisturbed, 2);

  const StartedRun stopped = Start(GetParam());
  TrainTo(stopped, 1);
  int batches = 0;
  const auto metrics = stopped->TrainEpoch([&] { return ++batches > 2; });
  EXPECT_EQ(metrics.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(stopped->epoch(), 1);
  EXPECT_EQ(Weights(stopped), at_boundary);
  TrainTo(stopped, 2);
  EXPECT_EQ(Weights(stopped), Weights(undisturbed));
}

INSTANTIATE_TEST_SUITE_P(Networks, TrainingRunTest,
                         ::testing::ValuesIn(ResumeConfigs()),
                         [](const auto& info) {
                           return std::string(info.param.name);
                         });

using TrainingTest = TrainingRunTest;

TEST_F(TrainingTest, NetworkLearnsAndReportsIt) {
  RunConfig config = Base();
  Conv1dOptions conv;
  conv.stem = 16;
  conv.widths = {16, 16};
  config.arch = conv;
  config.train.epochs = 30;
  config.train.lr = 0.01;
  config.render.mz_var = 0.1;
  config.train.validate_every = 7;
  config.train.schedule.warmup = 1;
  const StartedRun run = Start(config);
  double first_loss = 0;
  for (int epoch = 1; epoch <= 30; ++epoch) {
    const auto metrics = run->TrainEpoch(kNeverStop);
    ASSERT_TRUE(metrics.ok()) << metrics.status();
    if (epoch == 1) first_loss = metrics->at("train_loss");
    EXPECT_GT(metrics->at("samples_per_second"), 0);
    EXPECT_GT(metrics->at("seconds"), 0);
    EXPECT_GT(metrics->at("lr"), 0);
    const bool scored = epoch % 7 == 0 || epoch == 30;
    EXPECT_EQ(metrics->count("log_loss"), scored ? 1u : 0u) << epoch;
    if (epoch == 30) {
      EXPECT_LT(metrics->at("train_loss"), 0.7 * first_loss);
      EXPECT_GT(metrics->at("accuracy"), 0);
      EXPECT_LE(metrics->at("log_loss_clip_1e_2"), metrics->at("log_loss"));
    }
  }
}

TEST_F(TrainingTest, PredictionsAreTheMeanOfTheirDraws) {
  const StartedRun run = Start(Base());
  TrainTo(run, 1);
  const auto predictions = run->Predict(3, kNeverStop);
  ASSERT_TRUE(predictions.ok());
  const size_t size = kValidation * 3;
  ASSERT_EQ(predictions->probabilities.size(), size);
  ASSERT_EQ(predictions->draws.size(), 3 * size);
  for (size_t i = 0; i < size; ++i) {
    EXPECT_NEAR(predictions->probabilities[i],
                (predictions->draws[i] + predictions->draws[i + size] +
                 predictions->draws[i + 2 * size]) /
                    3,
                1e-6);
  }
}

at::Tensor Copy(const StartedRun& run, const std::string& name) {
  for (const auto& [key, tensor] : NamedWeights(run.model->module())) {
    if (key == name) return tensor.clone();
  }
  ADD_FAILURE() << name;
  return {};
}

TEST_F(TrainingTest, WeightAverageIsTheMeanOfTheLastEpochs) {
  RunConfig config = Base();
  config.train.swa_start = 0.5;
  const char kName[] = "base_model.layer1.0.conv1.weight";
  RunConfig plain = Base();
  const StartedRun live = Start(plain);
  const StartedRun run = Start(config);
  at::Tensor sum;
  for (int epoch = 1; epoch <= 4; ++epoch) {
    TrainTo(live, epoch);
    TrainTo(run, epoch);
    // Averaging does not touch the training.
    EXPECT_TRUE(Copy(run, kName).equal(Copy(live, kName)));
    if (epoch == 2) sum = Copy(live, kName);
    if (epoch > 2) sum += Copy(live, kName);
  }
  ASSERT_TRUE(run->Finish(kNeverStop).ok());
  EXPECT_TRUE(Copy(run, kName).allclose(sum / 3, 1e-5, 1e-7));
  // 17 samples in batches of 8, the last one left out.
  EXPECT_EQ(Copy(run, "base_model.bn1.num_batches_tracked").item<int64_t>(), 2);
  EXPECT_FALSE(Copy(run, "base_model.bn1.running_mean")
                   .equal(Copy(live, "base_model.bn1.running_mean")));
}

TEST_F(TrainingTest, EarlyStoppingGoesBackToTheBestEpoch) {
  RunConfig config = Base();
  config.train.epochs = 40;
  config.train.lr = 0.05;
  config.train.schedule.kind = ScheduleKind::kConstant;
  config.train.early_stopping = 3;
  const StartedRun run = Start(config);
  std::vector<std::string> weights;
  std::vector<double> losses;
  while (!run->done()) {
    const auto metrics = run->TrainEpoch(kNeverStop);
    ASSERT_TRUE(metrics.ok()) << metrics.status();
    losses.push_back(metrics->at("log_loss"));
    weights.push_back(Weights(run));
  }
  const auto best = std::min_element(losses.begin(), losses.end());
  EXPECT_LT(losses.size(), 40u);
  EXPECT_EQ(losses.end() - best, 4);  // And three scores without improvement.
  EXPECT_EQ(run->stopping().best_epoch, best - losses.begin() + 1);
  ASSERT_TRUE(run->Finish(kNeverStop).ok());
  EXPECT_EQ(Weights(run), weights[best - losses.begin()]);
}

TEST_F(TrainingTest, OptionsThatExcludeEachOtherAreRefused) {
  const auto message = [](const TrainOptions& options, int num_validation) {
    TrainingInput input;
    input.num_train = kTrain;
    input.num_validation = num_validation;
    input.options = options;
    const absl::Status status = TrainingRun::Create(std::move(input)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  TrainOptions options;
  options.swa_start = 0.5;
  options.ema = 0.9;
  EXPECT_THAT(message(options, 5), HasSubstr("beside ema 0.9"));
  options.ema = 0;
  options.early_stopping = 4;
  EXPECT_THAT(message(options, 5), HasSubstr("early_stopping 4"));
  options.swa_start = 0;
  EXPECT_THAT(message(options, 0), HasSubstr("no samples are held out"));
}

TEST_F(TrainingTest, FocalLossWithoutFocusTrainsAsCrossEntropyDoes) {
  RunConfig focal = Base();
  focal.train.loss = LossKind::kFocal;
  focal.train.focal_gamma = 0;
  const StartedRun run = Start(focal);
  const StartedRun plain = Start(Base());
  const auto focused = run->TrainEpoch(kNeverStop);
  const auto expected = plain->TrainEpoch(kNeverStop);
  EXPECT_NEAR(focused->at("train_loss"), expected->at("train_loss"), 1e-4);
  focal.train.focal_gamma = 2;
  EXPECT_LT(Start(focal)->TrainEpoch(kNeverStop)->at("train_loss"),
            0.7 * expected->at("train_loss"));
}

TEST_F(TrainingTest, DivergenceIsAFailureThatNamesTheLearningRate) {
  RunConfig config = Base();
  config.train.lr = 1e30;
  config.train.schedule.kind = ScheduleKind::kConstant;
  const StartedRun run = Start(config);
  absl::Status status;
  for (int epoch = 0; epoch < 4 && status.ok(); ++epoch) {
    status = run->TrainEpoch(kNeverStop).status();
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("train.lr (1e+30)"));
}

TEST_F(TrainingTest, LastBatchOfASingleSampleIsLeftOut) {
  // Batch normalization over one sample's pooled features would fail.
  RunConfig config = Base();
  config.train.batch = 4;  // 17 samples: 4 batches and one sample.
  const StartedRun run = Start(config);
  TrainTo(run, 1);
}

TEST_F(TrainingTest, CheckpointOfAnotherNetworkOrSeedIsRefused) {
  const std::string checkpoint = JoinPath(folder_, "checkpoint");
  const StartedRun run = Start(Base());
  ASSERT_TRUE(run->SaveCheckpoint(checkpoint).ok());
  RunConfig other = Base();
  ResnetOptions wider = TinyResnet();
  wider.widths = {4, 12};
  other.arch = wider;
  const absl::Status network = Start(other)->LoadCheckpoint(checkpoint);
  EXPECT_EQ(network.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(network.message()), HasSubstr("expected F32"));
  const absl::Status seed =
      Start(Base(), kTrain, 6)->LoadCheckpoint(checkpoint);
  EXPECT_EQ(seed.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(seed.message()), HasSubstr("belongs to seed 5"));
}

}  // namespace
}  // namespace foldfarm
