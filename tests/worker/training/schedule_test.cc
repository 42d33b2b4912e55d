#include "worker/training/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "worker/training/early_stopping.h"

namespace foldfarm {
namespace {

ScheduleOptions Kind(ScheduleKind kind) {
  ScheduleOptions options;
  options.kind = kind;
  return options;
}

TEST(ScheduleTest, WarmRestartsBeginAnewAfterEverLongerPeriods) {
  const ScheduleOptions options = Kind(ScheduleKind::kCosineWarmRestarts);
  EXPECT_EQ(LearningRateFactor(options, 400, 0), 0.01);
  EXPECT_NEAR(LearningRateFactor(options, 400, 1), 0.9904022475614136, 1e-12);
  EXPECT_NEAR(LearningRateFactor(options, 400, 15), 0.010597752438586398,
              1e-12);
  // Periods 16, 22, 31, 43, 60.
  for (const int restart : {16, 38, 69, 112, 172}) {
    EXPECT_EQ(LearningRateFactor(options, 400, restart), 1) << restart;
    EXPECT_LT(LearningRateFactor(options, 400, restart - 1), 0.05) << restart;
  }
  // Per epoch: the steps within one share its rate.
  EXPECT_EQ(LearningRateFactor(options, 400, 7.9),
            LearningRateFactor(options, 400, 7));
}

TEST(ScheduleTest, WarmRestartsEqualTheOriginalsOver400Epochs) {
  const char* folder = std::getenv("FOLDFARM_SHARED");
  const std::string path = absl::StrCat(
      folder != nullptr ? folder : FOLDFARM_SOURCE_DIR "/../shared",
      "/golden/lr_schedule.csv");
  std::ifstream file(path);
  if (!file) GTEST_SKIP() << path << " is not there";
  const ScheduleOptions options = Kind(ScheduleKind::kCosineWarmRestarts);
  std::string line;
  std::getline(file, line);
  int rows = 0;
  while (std::getline(file, line)) {
    const std::vector<std::string> fields = absl::StrSplit(line, ',');
    double epoch = 0, factor = 0;
    ASSERT_TRUE(absl::SimpleAtod(fields[0], &epoch)) << line;
    ASSERT_TRUE(absl::SimpleAtod(fields[1], &factor)) << line;
    EXPECT_NEAR(LearningRateFactor(options, 400, epoch), factor, 1e-12) << line;
    ++rows;
  }
  EXPECT_EQ(rows, 400);
}

TEST(ScheduleTest, CosineClimbsLinearlyAndFallsToTheFloor) {
  ScheduleOptions options = Kind(ScheduleKind::kCosine);
  options.warmup = 2;
  EXPECT_EQ(LearningRateFactor(options, 50, 0), options.floor);
  EXPECT_NEAR(LearningRateFactor(options, 50, 0.5), 0.25, 1e-12);
  EXPECT_NEAR(LearningRateFactor(options, 50, 2), 1, 1e-12);
  EXPECT_NEAR(LearningRateFactor(options, 50, 26), 0.5, 1e-12);
  EXPECT_EQ(LearningRateFactor(options, 50, 49.999), options.floor);
}

TEST(ScheduleTest, OneCycleClimbsToThePeakAndFallsToTheFloor) {
  ScheduleOptions options = Kind(ScheduleKind::kOneCycle);
  EXPECT_NEAR(LearningRateFactor(options, 100, 0), 0.04, 1e-12);
  EXPECT_NEAR(LearningRateFactor(options, 100, 15), (0.04 + 1) / 2, 1e-12);
  EXPECT_NEAR(LearningRateFactor(options, 100, 30), 1, 1e-12);
  EXPECT_NEAR(LearningRateFactor(options, 100, 65), (1 + 0.001) / 2, 1e-12);
  EXPECT_NEAR(LearningRateFactor(options, 100, 100), 0.001, 1e-12);
  for (int step = 1; step < 1000; ++step) {
    const double before = LearningRateFactor(options, 100, (step - 1) / 10.0);
    const double after = LearningRateFactor(options, 100, step / 10.0);
    EXPECT_EQ(after > before, step <= 300) << step;
  }
  options.rise = 0;
  EXPECT_EQ(LearningRateFactor(options, 100, 0), 1);
  options.rise = 1;
  EXPECT_LT(LearningRateFactor(options, 100, 99.9), 1);
}

TEST(ScheduleTest, StepsFallAfterTheirMilestones) {
  ScheduleOptions options = Kind(ScheduleKind::kSteps);
  options.milestones = {30, 60};
  options.gamma = 0.2;
  for (const auto& [position, factor] :
       {std::pair(0.0, 1.0), std::pair(29.9, 1.0), std::pair(30.0, 0.2),
        std::pair(59.9, 0.2), std::pair(60.0, 0.04), std::pair(99.0, 0.04)}) {
    EXPECT_NEAR(LearningRateFactor(options, 100, position), factor, 1e-12)
        << position;
  }
}

TEST(ScheduleTest, WeightAverageTakesTheLastEpochsByTheirShare) {
  TrainOptions options;
  options.epochs = 10;
  int before = -1;
  EXPECT_FALSE(EntersWeightAverage(options, 10, &before));
  options.swa_start = 0.7;  // 7.000000000000001 of 10
  options.swa_every = 2;
  EXPECT_FALSE(EntersWeightAverage(options, 6, &before));
  EXPECT_TRUE(EntersWeightAverage(options, 7, &before));
  EXPECT_EQ(before, 0);
  EXPECT_FALSE(EntersWeightAverage(options, 8, &before));
  EXPECT_TRUE(EntersWeightAverage(options, 9, &before));
  EXPECT_EQ(before, 1);
  options.swa_start = 1;
  EXPECT_FALSE(EntersWeightAverage(options, 9, &before));
  EXPECT_TRUE(EntersWeightAverage(options, 10, &before));
  EXPECT_EQ(before, 0);
}

TEST(EarlyStoppingTest, StopsAfterSoManyScoresWithoutImprovement) {
  EarlyStopping stopping;
  stopping.patience = 2;
  stopping.min_delta = 0.1;
  EXPECT_TRUE(stopping.Add(1.0, 1));
  EXPECT_FALSE(stopping.Add(0.95, 2));  // Less than min_delta better.
  EXPECT_TRUE(stopping.Add(0.8, 3));
  EXPECT_FALSE(stopping.Add(std::nan(""), 4));
  EXPECT_FALSE(stopping.ShouldStop());
  EXPECT_FALSE(stopping.Add(2, 5));
  EXPECT_TRUE(stopping.ShouldStop());
  EXPECT_EQ(stopping.best_epoch, 3);
  EXPECT_EQ(stopping.best_loss, 0.8);
}

TEST(EarlyStoppingTest, WithoutPatienceNeverStops) {
  EarlyStopping stopping;
  for (int epoch = 1; epoch < 100; ++epoch) stopping.Add(epoch, epoch);
  EXPECT_FALSE(stopping.ShouldStop());
}

TEST(ScheduleTest, ConstantStaysAtThePeak) {
  const ScheduleOptions options = Kind(ScheduleKind::kConstant);
  for (const double position : {0.0, 0.5, 49.9}) {
    EXPECT_EQ(LearningRateFactor(options, 50, position), 1);
  }
}

}  // namespace
}  // namespace foldfarm
