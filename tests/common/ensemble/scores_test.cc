#include "common/ensemble/scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

constexpr double kTiny = 1e-12;
// -ln of what the shrink constants leave of certainty, right and wrong.
constexpr double kRight002 = 0.0020020026706730793;  // -ln(0.998)
constexpr double kWrong002 = 6.214608098422191;      // -ln(0.002)
constexpr double kRight01 = 0.01005033585350145;     // -ln(0.99)
constexpr double kWrong01 = 4.605170185988091;       // -ln(0.01)

TEST(LogLossTest, IndifferenceCostsLn2HoweverItIsGuarded) {
  const OofMatrix oof = SmallOof();
  const std::vector<double> half(8, 0.5);
  EXPECT_NEAR(ShrunkLogLoss(oof.truth, half), std::log(2.0), kTiny);
  EXPECT_NEAR(InstrumentLogLoss(oof, half), std::log(2.0), kTiny);
  EXPECT_NEAR(ClippedLogLoss(oof.truth, half, 1e-3), std::log(2.0), kTiny);
}

TEST(LogLossTest, CertaintyIsFiniteRightOrWrong) {
  const std::vector<double> truth = {1, 0, 1, 0};
  EXPECT_NEAR(ShrunkLogLoss(truth, {1, 0, 1, 0}), kRight002, kTiny);
  EXPECT_NEAR(ShrunkLogLoss(truth, {0, 1, 0, 1}), kWrong002, kTiny);
  EXPECT_NEAR(ShrunkLogLoss(truth, {0, 1, 0, 1}, 0.01), kWrong01, kTiny);
  EXPECT_NEAR(ClippedLogLoss(truth, {0, 1, 0, 1}, 1e-3), -std::log(1e-3),
              kTiny);
  EXPECT_NEAR(ClippedLogLoss(truth, {1, 0, 1, 0}, 1e-2), -std::log(0.99),
              kTiny);
}

TEST(LogLossTest, TheSamTestbedIsShrunkFiveTimesAsMuch) {
  const OofMatrix oof = SmallOof();
  // All right, and all wrong: six commercial cells and two of the testbed.
  EXPECT_NEAR(InstrumentLogLoss(oof, oof.truth),
              (6 * kRight002 + 2 * kRight01) / 8, kTiny);
  std::vector<double> wrong;
  for (double truth : oof.truth) wrong.push_back(1 - truth);
  EXPECT_NEAR(InstrumentLogLoss(oof, wrong), (6 * kWrong002 + 2 * kWrong01) / 8,
              kTiny);
}

TEST(LogLossTest, ASoftTruthIsWeighted) {
  EXPECT_NEAR(ClippedLogLoss({0.25}, {0.5}, 1e-3), std::log(2.0), kTiny);
  EXPECT_NEAR(ClippedLogLoss({0.25}, {0.2}, 1e-3),
              -(0.25 * std::log(0.2) + 0.75 * std::log(0.8)), kTiny);
}

TEST(LogLossTest, LabelsAndFoldsAreMeansOfTheirOwnCells) {
  const OofMatrix oof = SmallOof();
  // Right but for basalt of S2 (fold 0).
  std::vector<double> p = oof.truth;
  p[2] = 1;
  EXPECT_THAT(LabelLogLoss(oof, p),
              ElementsAre(DoubleNear((3 * kRight002 + kWrong002) / 4, kTiny),
                          DoubleNear(kRight002, kTiny)));
  EXPECT_THAT(FoldLogLoss(oof, p),
              ElementsAre(DoubleNear((3 * kRight002 + kWrong002) / 4, kTiny),
                          DoubleNear(kRight002, kTiny)));
}

TEST(LogLossTest, AFoldWithoutSamplesHasNone) {
  OofMatrix oof = SmallOof();
  oof.folds = {0, 0, 2, 2};
  const std::vector<double> by_fold = FoldLogLoss(oof, oof.truth);
  ASSERT_EQ(by_fold.size(), 3u);
  EXPECT_TRUE(std::isnan(by_fold[1]));
  EXPECT_FALSE(std::isnan(by_fold[2]));
}

TEST(AccuracyTest, AHalfCountsAsAbsent) {
  EXPECT_DOUBLE_EQ(Accuracy({1, 0, 1, 0}, {0.6, 0.4, 0.5, 0.5}), 0.75);
}

TEST(PearsonCorrelationTest, KnowsPerfectOppositeAndNone) {
  const std::vector<double> a = {0.1, 0.2, 0.4, 0.8};
  EXPECT_NEAR(PearsonCorrelation(a, a), 1.0, kTiny);
  EXPECT_NEAR(PearsonCorrelation(a, {0.9, 0.8, 0.6, 0.2}), -1.0, kTiny);
  EXPECT_NEAR(PearsonCorrelation({0, 0, 1, 1}, {0, 1, 0, 1}), 0.0, kTiny);
  // (1, 2, 3) and (1, 3, 2), scaled: r = 1/2.
  EXPECT_NEAR(PearsonCorrelation({0.1, 0.2, 0.3}, {0.1, 0.3, 0.2}), 0.5, kTiny);
}

TEST(PearsonCorrelationTest, IsZeroWhenASideIsConstant) {
  EXPECT_EQ(PearsonCorrelation({0.1, 0.1, 0.1}, {0.1, 0.5, 0.9}), 0.0);
  // 0.1 is not exact, so the mean of many is off by a rounding.
  EXPECT_EQ(PearsonCorrelation(std::vector<double>(7660, 0.1),
                               std::vector<double>(7660, 0.7)),
            0.0);
}

TEST(ScoreTest, GivesAllScoresOfOneSet) {
  const OofMatrix oof = SmallOof();
  const OofScores scores = Score(oof, oof.truth);
  EXPECT_NEAR(scores.log_loss, (6 * kRight002 + 2 * kRight01) / 8, kTiny);
  EXPECT_NEAR(scores.log_loss_shrink_0002, kRight002, kTiny);
  EXPECT_NEAR(scores.log_loss_clip_1e_3, -std::log(0.999), kTiny);
  EXPECT_NEAR(scores.log_loss_clip_1e_2, -std::log(0.99), kTiny);
  EXPECT_EQ(scores.accuracy, 1.0);
  EXPECT_EQ(scores.samples, 4);
}

}  // namespace
}  // namespace foldfarm
