#include "common/ensemble/calibration.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;

TEST(CalibrateTest, BinsHoldMeansAndTheErrorIsTheirWeightedDistance) {
  // Two bins: {0.1, 0.3, 0.4} of which one is present, {0.9} which is.
  const Calibration c = Calibrate({0, 1, 0, 1}, {0.1, 0.3, 0.4, 0.9}, 2);
  ASSERT_EQ(c.bins.size(), 2u);
  EXPECT_EQ(c.bins[0].count, 3);
  EXPECT_NEAR(c.bins[0].mean_probability, 0.8 / 3, 1e-12);
  EXPECT_NEAR(c.bins[0].observed, 1.0 / 3, 1e-12);
  EXPECT_EQ(c.bins[1].count, 1);
  EXPECT_EQ(c.bins[1].low, 0.5);
  EXPECT_EQ(c.count, 4);
  EXPECT_NEAR(c.mean_probability, 1.7 / 4, 1e-12);
  EXPECT_NEAR(c.observed, 0.5, 1e-12);
  // 3/4 * |1/3 - 0.8/3| + 1/4 * |1 - 0.9|.
  EXPECT_NEAR(c.expected_calibration_error, 0.05 + 0.025, 1e-12);
}

TEST(CalibrateTest, ABinBeginsAtItsLowerEdgeAndTheLastOneTakesOne) {
  const Calibration c = Calibrate({0, 0, 1}, {0.0, 0.1, 1.0});
  ASSERT_EQ(c.bins.size(), 10u);
  EXPECT_EQ(c.bins[0].count, 1);
  EXPECT_EQ(c.bins[1].count, 1);
  EXPECT_EQ(c.bins[9].count, 1);
}

TEST(CalibrateTest, WhatNobodyPredictedIsLeftOut) {
  const Calibration c = Calibrate({1, 0}, {kNaN, 0.25});
  EXPECT_EQ(c.count, 1);
  EXPECT_NEAR(c.expected_calibration_error, 0.25, 1e-12);
  const Calibration none = Calibrate({1}, {kNaN});
  EXPECT_EQ(none.count, 0);
  EXPECT_TRUE(std::isnan(none.expected_calibration_error));
}

TEST(CalibrateTest, TheIntervalIsWilsons) {
  // 3 of 10: the textbook value is [0.1078, 0.6032].
  const Calibration c = Calibrate({1, 1, 1, 0, 0, 0, 0, 0, 0, 0},
                                  std::vector<double>(10, 0.35), 1);
  EXPECT_NEAR(c.bins[0].observed_low, 0.1078, 5e-5);
  EXPECT_NEAR(c.bins[0].observed_high, 0.6032, 5e-5);
  // It stays within [0, 1] and says nothing of an empty bin.
  const Calibration sure = Calibrate({1, 1}, {0.9, 0.95}, 2);
  EXPECT_EQ(sure.bins[1].observed_high, 1);
  EXPECT_EQ(sure.bins[0].observed_low, 0);
  EXPECT_EQ(sure.bins[0].observed_high, 1);
}

TEST(ColumnOfTest, TakesEveryRowsCell) {
  EXPECT_THAT(ColumnOf({1, 2, 3, 4, 5, 6}, 3, 1), ElementsAre(2, 5));
}

}  // namespace
}  // namespace foldfarm
