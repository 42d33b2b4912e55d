#include "common/ensemble/weightings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/ensemble/least_log_loss.h"
#include "common/ensemble/selection.h"
#include "tests/common/ensemble/made_oof.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using testing::DoubleNear;
using testing::Each;
using testing::ElementsAre;

std::vector<Weighting> Compare(const OofMatrix& oof) {
  return CompareWeightings(oof, BootstrapDraws(oof.num_samples()));
}

TEST(WeightedMeanTest, IsOverTheModelsThatHaveTheLabel) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "whole", 0.8, 0.2);
  AddModel(oof, "basalt_only", 0.4, 0.4);
  DropLabel(oof, 1);
  const std::vector<double> mean = WeightedMean(oof, {0.25, 0.75});
  EXPECT_DOUBLE_EQ(mean[0], 0.25 * 0.8 + 0.75 * 0.4) << "basalt";
  EXPECT_DOUBLE_EQ(mean[1], 0.2) << "sulfate";
}

TEST(WeightedMeanTest, ALabelWithoutAWeightedModelCountsWithThePrior) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "whole", 0.8, 0.2);
  AddModel(oof, "basalt_only", 0.4, 0.4);
  DropLabel(oof, 1);
  const std::vector<double> mean = WeightedMean(oof, {0, 1});
  EXPECT_DOUBLE_EQ(mean[1], PriorPredictions(oof)[1]);
  oof.models.erase(oof.models.begin());
  EXPECT_TRUE(std::isnan(WeightedMean(oof, {1.0})[1])) << "nobody's label";
}

TEST(CompareWeightingsTest, TheEqualOneIsThePlainMean) {
  const OofMatrix oof = MadeOof({});
  const Weighting equal = Compare(oof)[0];
  EXPECT_EQ(equal.name, "equal");
  EXPECT_THAT(equal.weights, Each(DoubleNear(1.0 / 3, 1e-12)));
  EXPECT_EQ(equal.log_loss, ShrunkLogLoss(oof.truth, MeanOfModels(oof)));
  EXPECT_EQ(equal.nested_log_loss, equal.log_loss);
  EXPECT_EQ(equal.gain, 0);
}

TEST(CompareWeightingsTest, GreedyWeightsAreSharesOfGrowthWithReplacement) {
  const OofMatrix oof = MadeOof({.models = 5, .samples = 80});
  const Weighting greedy = Compare(oof)[1];
  const std::vector<SelectionStep> steps = GrowWithReplacement(oof);
  std::vector<double> shares(5, 0.0);
  for (const SelectionStep& step : steps) {
    shares[step.model] += 1.0 / static_cast<double>(steps.size());
  }
  EXPECT_EQ(greedy.name, "greedy");
  for (size_t m = 0; m < 5; ++m) {
    EXPECT_NEAR(greedy.weights[m], shares[m], 1e-12);
  }
  EXPECT_NEAR(greedy.log_loss, steps.back().log_loss, 1e-12);
}

// By hand for two folds: the weights of each fold come from the other.
TEST(CompareWeightingsTest, ANestedFigureScoresAFoldWithTheOthersWeights) {
  const OofMatrix oof = MadeOof({.models = 4, .samples = 50, .folds = 2});
  const Weighting least = Compare(oof)[2];
  EXPECT_EQ(least.name, "least log loss");
  double sum = 0, cells = 0;
  for (const int fold : {0, 1}) {
    std::vector<size_t> own, other;
    for (size_t i = 0; i < oof.num_samples(); ++i) {
      (oof.folds[i] == fold ? own : other).push_back(i);
    }
    const std::vector<double> weights =
        MinimizeLogLoss(SelectSamples(oof, other)).weights;
    for (const size_t sample : own) {
      for (size_t l = 0; l < 3; ++l) {
        double p = 0;
        for (size_t m = 0; m < 4; ++m) {
          p += weights[m] * oof.models[m].probabilities[3 * sample + l];
        }
        sum += CrossEntropy(oof.truth[3 * sample + l], Shrink(p, 0.002));
        ++cells;
      }
    }
  }
  EXPECT_NEAR(least.nested_log_loss, sum / cells, 1e-12);
  EXPECT_LT(least.log_loss, least.nested_log_loss) << "flatters itself";
  EXPECT_NEAR(least.gain,
              ShrunkLogLoss(oof.truth, MeanOfModels(oof)) - sum / cells, 1e-12);
  ASSERT_TRUE(least.gain_interval.has_value());
  EXPECT_LT(least.gain_interval->low, least.gain);
  EXPECT_GT(least.gain_interval->high, least.gain);
}

TEST(CompareWeightingsTest, AHoldOutHasNoNestedFigure) {
  OofMatrix oof = MadeOof({.folds = 1});
  for (const Weighting& weighting : Compare(oof)) {
    const bool fitted = weighting.name != "equal";
    EXPECT_EQ(std::isnan(weighting.nested_log_loss), fitted) << weighting.name;
    EXPECT_EQ(weighting.gain_interval.has_value(), !fitted) << weighting.name;
    EXPECT_TRUE(std::isfinite(weighting.log_loss)) << weighting.name;
  }
}

}  // namespace
}  // namespace foldfarm
