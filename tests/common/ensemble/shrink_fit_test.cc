#include "common/ensemble/shrink_fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/ensemble/scores.h"
#include "tests/common/ensemble/made_oof.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

TEST(BestShrinkConstantTest, OfCertainPredictionsIsTheShareThatIsWrong) {
  // One of ten is wrong: the constant is the rate of errors.
  std::vector<double> truth(10, 1), p(10, 1);
  p[3] = 0;
  EXPECT_NEAR(BestShrinkConstant(truth, p), 0.1, 1e-8);
}

TEST(BestShrinkConstantTest, StaysWithinItsBounds) {
  EXPECT_EQ(BestShrinkConstant({1, 0}, {1, 0}), kLeastShrink);
  EXPECT_NEAR(BestShrinkConstant({1, 0}, {0, 1}), kMostShrink, 1e-8);
  // Too careful already.
  EXPECT_EQ(BestShrinkConstant({1, 0, 1}, {0.9, 0.1, 0.9}), kLeastShrink);
}

TEST(BestShrinkConstantTest, NoNeighbourIsBetter) {
  const OofMatrix oof = MadeOof({.samples = 200, .labels = 5});
  std::vector<double> p = oof.models[0].probabilities;
  // Overconfident, so that shrinking helps.
  for (double& value : p) value = value > 0.5 ? 0.999 : 0.001;
  const double c = BestShrinkConstant(oof.truth, p);
  ASSERT_GT(c, 1e-3);
  const double best = ShrunkLogLoss(oof.truth, p, c);
  EXPECT_LT(best, ShrunkLogLoss(oof.truth, p, c * 1.01));
  EXPECT_LT(best, ShrunkLogLoss(oof.truth, p, c / 1.01));
}

TEST(FitShrinkTest, FitsAllSamplesAndEachInstrument) {
  const OofMatrix oof = MadeOof({.samples = 200});
  const std::vector<double>& p = oof.models[0].probabilities;
  const std::vector<ShrinkFit> fits = FitShrink(oof, p);
  ASSERT_EQ(fits.size(), 3u);
  EXPECT_EQ(fits[0].instrument_type, "");
  EXPECT_EQ(fits[0].log_loss, InstrumentLogLoss(oof, p));
  EXPECT_EQ(fits[0].constant, BestShrinkConstant(oof.truth, p));
  EXPECT_EQ(fits[1].instrument_type, "commercial");
  EXPECT_EQ(fits[2].instrument_type, "sam_testbed");
  EXPECT_NEAR(fits[0].log_loss, 0.8 * fits[1].log_loss + 0.2 * fits[2].log_loss,
              1e-12);
}

TEST(FitShrinkTest, ANestedFigureUsesTheOtherFoldsConstant) {
  // Certain everywhere; fold 0 errs once in four cells, fold 1 twice.
  OofMatrix oof = SmallOof();
  std::vector<double> p = oof.truth;
  p[0] = 1 - p[0];
  p[4] = 1 - p[4];
  p[5] = 1 - p[5];
  const ShrinkFit all = FitShrink(oof, p)[0];
  EXPECT_NEAR(all.constant, 3.0 / 8, 1e-8);
  const auto cost = [](double wrong, double c) {
    return -wrong * std::log(c) - (4 - wrong) * std::log(1 - c);
  };
  EXPECT_NEAR(all.nested_log_loss, (cost(1, 0.5) + cost(2, 0.25)) / 8, 1e-7);
}

TEST(FitShrinkTest, WhereSamplesAreOfOneFoldThereIsNoNestedFigure) {
  const OofMatrix oof = SmallOof();  // Its one testbed sample is in fold 1.
  const std::vector<ShrinkFit> fits = FitShrink(oof, oof.truth);
  EXPECT_TRUE(std::isfinite(fits[1].nested_log_loss));
  EXPECT_TRUE(std::isnan(fits[2].nested_log_loss));
}

}  // namespace
}  // namespace foldfarm
