#include "worker/training/schedule.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

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

TEST(ScheduleTest, ConstantStaysAtThePeak) {
  const ScheduleOptions options = Kind(ScheduleKind::kConstant);
  for (const double position : {0.0, 0.5, 49.9}) {
    EXPECT_EQ(LearningRateFactor(options, 50, position), 1);
  }
}

}  // namespace
}  // namespace foldfarm
