#include "common/ensemble/least_log_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "common/ensemble/scores.h"
#include "tests/common/ensemble/made_oof.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

// Of the weighted mean of models that predict all labels.
double LogLossWith(const OofMatrix& oof, const std::vector<double>& weights) {
  std::vector<double> mean(oof.truth.size(), 0.0);
  for (size_t m = 0; m < weights.size(); ++m) {
    for (size_t i = 0; i < mean.size(); ++i) {
      mean[i] += weights[m] * oof.models[m].probabilities[i];
    }
  }
  return ShrunkLogLoss(oof.truth, mean);
}

TEST(MinimizeLogLossTest, NoPointOfAFineGridIsBetter) {
  for (const uint32_t seed : {1, 2, 3}) {
    const OofMatrix oof = MadeOof({.models = 3, .samples = 60, .seed = seed});
    const LeastLogLoss least = MinimizeLogLoss(oof);
    EXPECT_LE(least.gap, kLeastLogLossGap);
    EXPECT_NEAR(
        std::accumulate(least.weights.begin(), least.weights.end(), 0.0), 1,
        1e-12);
    double grid_best = 1e9;
    std::vector<double> grid_weights;
    constexpr int kSteps = 200;
    for (int a = 0; a <= kSteps; ++a) {
      for (int b = 0; a + b <= kSteps; ++b) {
        const std::vector<double> weights = {1.0 * a / kSteps, 1.0 * b / kSteps,
                                             1.0 * (kSteps - a - b) / kSteps};
        const double log_loss = LogLossWith(oof, weights);
        if (log_loss < grid_best) {
          grid_best = log_loss;
          grid_weights = weights;
        }
      }
    }
    const double found = LogLossWith(oof, least.weights);
    EXPECT_LE(found, grid_best + kLeastLogLossGap);
    EXPECT_GT(found, grid_best - 1e-4);
    for (size_t m = 0; m < 3; ++m) {
      EXPECT_NEAR(least.weights[m], grid_weights[m], 0.03);
    }
  }
}

TEST(MinimizeLogLossTest, AModelThatOnlyHarmsGetsNoWeight) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "bad", 0.3, 0.7);
  AddModel(oof, "good", 0.9, 0.1);
  EXPECT_THAT(MinimizeLogLoss(oof).weights,
              ElementsAre(DoubleNear(0, 1e-9), DoubleNear(1, 1e-9)));
}

TEST(MinimizeLogLossTest, TwoModelsThatErrAlikeShareEqually) {
  OofMatrix oof = SmallOof();
  oof.truth.assign(8, 1);
  AddModel(oof, "a", 0.9, 0);
  AddModel(oof, "b", 0.9, 0);
  oof.models[0].probabilities[0] = 0.1;
  oof.models[1].probabilities[1] = 0.1;
  EXPECT_THAT(MinimizeLogLoss(oof).weights,
              ElementsAre(DoubleNear(0.5, 1e-6), DoubleNear(0.5, 1e-6)));
}

TEST(MinimizeLogLossTest, EqualModelsAndASingleOneAreNoTrouble) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "a", 0.8, 0.2);
  EXPECT_THAT(MinimizeLogLoss(oof).weights, ElementsAre(1.0));
  AddModel(oof, "b", 0.8, 0.2);
  AddModel(oof, "c", 0.8, 0.2);
  const LeastLogLoss least = MinimizeLogLoss(oof);
  EXPECT_LE(least.gap, kLeastLogLossGap);
  EXPECT_NEAR(LogLossWith(oof, least.weights), -std::log(Shrink(0.8, 0.002)),
              1e-9);
}

TEST(MinimizeLogLossTest, ManyCertainModelsConverge) {
  OofMatrix oof = MadeOof({.models = 12, .samples = 100, .seed = 4});
  for (OofModel& model : oof.models) {
    for (double& p : model.probabilities) p = p > 0.5 ? 1 : 0;
  }
  EXPECT_LE(MinimizeLogLoss(oof).gap, kLeastLogLossGap);
}

TEST(MinimizeLogLossTest, AMissingLabelSaysWhatTheOthersSay) {
  // On basalt alone the models tie; sulfate is left to "whole" either way.
  OofMatrix oof = SmallOof();
  AddModel(oof, "whole", 0.8, 0.2);
  AddModel(oof, "basalt_only", 0.95, 0.05);
  DropLabel(oof, 1);
  const LeastLogLoss least = MinimizeLogLoss(oof);
  EXPECT_LE(least.gap, kLeastLogLossGap);
  EXPECT_THAT(least.weights,
              ElementsAre(DoubleNear(0, 1e-9), DoubleNear(1, 1e-9)));
}

}  // namespace
}  // namespace foldfarm
