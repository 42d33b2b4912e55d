#include "common/ensemble/analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "tests/common/ensemble/made_oof.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;

TEST(CorrelationMatrixTest, IsSymmetricWithOnesOnItsDiagonal) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "a", 0.9, 0.1);
  AddModel(oof, "b", 0.2, 0.6);
  const std::vector<double> matrix = CorrelationMatrix(oof);
  EXPECT_EQ(matrix[0], 1.0);
  EXPECT_NEAR(matrix[1], -1.0, 1e-12);
  EXPECT_EQ(matrix[1], matrix[2]);
}

TEST(TtaCurveTest, AveragesTheFirstDrawsUpToAllThatThereAre) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "a", 0.75, 0.25);
  // Right, then three draws that make the mean 0.75 and 0.25.
  oof.models[0].draws = oof.truth;
  for (int d = 0; d < 3; ++d) {
    for (const double truth : oof.truth) {
      oof.models[0].draws.push_back(truth == 1 ? 2.0 / 3 : 1.0 / 3);
    }
  }
  const std::vector<TtaPoint> curve = TtaCurve(oof);
  ASSERT_EQ(curve.size(), 3u);
  EXPECT_EQ(curve[0].draws, 1);
  EXPECT_DOUBLE_EQ(curve[0].log_loss, ShrunkLogLoss(oof.truth, oof.truth));
  EXPECT_EQ(curve[1].draws, 2);
  EXPECT_NEAR(curve[1].log_loss, -std::log(Shrink(5.0 / 6, 0.002)), 1e-12);
  EXPECT_EQ(curve[2].draws, 4);
  EXPECT_EQ(curve[2].log_loss, ShrunkLogLoss(oof.truth, MeanOfModels(oof)));
}

TEST(TtaCurveTest, EndsWithAllDrawsAndTakesWhatAModelHas) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "three_draws", 0.75, 0.25);
  oof.models[0].draws.assign(3 * oof.truth.size(), 0.5);
  AddModel(oof, "no_draws", 0.8, 0.2);
  const std::vector<TtaPoint> curve = TtaCurve(oof);
  ASSERT_EQ(curve.size(), 3u);
  EXPECT_EQ(curve[1].draws, 2);
  EXPECT_NEAR(curve[1].log_loss, -std::log(Shrink((0.5 + 0.8) / 2, 0.002)),
              1e-12);
  EXPECT_EQ(curve[2].draws, 3);
  EXPECT_EQ(curve[2].log_loss, ShrunkLogLoss(oof.truth, MeanOfModels(oof)));
  oof.models[0].draws.clear();
  EXPECT_TRUE(TtaCurve(oof).empty());
}

TEST(TtaCurveTest, LeavesOutWhatNobodyPredicts) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "basalt_only", 0.8, 0.2);
  DropLabel(oof, 1);
  oof.models[0].draws = oof.models[0].probabilities;
  const std::vector<TtaPoint> curve = TtaCurve(oof);
  ASSERT_EQ(curve.size(), 1u);
  EXPECT_NEAR(curve[0].log_loss,
              ShrunkLogLoss(oof.truth, oof.models[0].probabilities), 1e-12);
}

TEST(AnalyzeEnsembleTest, OrdersModelsAndScoresTheirMeanAndThePrior) {
  const OofMatrix oof = FourModels();
  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof);
  ASSERT_EQ(analysis.models.size(), 4u);
  EXPECT_EQ(analysis.models[0].name, "fair");
  EXPECT_EQ(analysis.models[0].model, 3u);
  EXPECT_EQ(analysis.models[3].name, "bad");
  EXPECT_LT(analysis.models[3].correlation, 0);
  EXPECT_EQ(analysis.models[0].fold_log_loss.size(), 2u);
  EXPECT_DOUBLE_EQ(analysis.ensemble.scores.log_loss,
                   InstrumentLogLoss(oof, MeanOfModels(oof)));
  EXPECT_DOUBLE_EQ(analysis.prior.log_loss,
                   InstrumentLogLoss(oof, PriorPredictions(oof)));
  EXPECT_EQ(analysis.growth[0].model, analysis.models[0].model);
  EXPECT_EQ(analysis.ensemble.labels.size(), 2u);
}

TEST(AnalyzeEnsembleTest, TheMeanIsNeverWorseThanItsModelsOnAverage) {
  const OofMatrix oof = MadeOof({.models = 5, .samples = 200});
  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof);
  // Log loss is convex, so Jensen's inequality holds whatever was drawn.
  double average = 0;
  for (const ModelAnalysis& model : analysis.models) {
    average += model.scores.log_loss / 5;
    EXPECT_LT(model.scores.log_loss, analysis.prior.log_loss);
  }
  EXPECT_LT(analysis.ensemble.scores.log_loss, average);
}

TEST(AnalyzeEnsembleTest, FiguresOfOneThingAreEqualWhereverTheyAre) {
  const OofMatrix oof = MadeOof({.models = 5, .samples = 80, .draws = 4});
  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof, {.full = true});
  const double plain = analysis.ensemble.scores.log_loss_shrink_0002;
  EXPECT_NEAR(analysis.growth.back().log_loss, plain, 1e-12);
  EXPECT_EQ(analysis.tta.back().log_loss, plain);
  EXPECT_EQ(analysis.weightings[0].log_loss, plain);
  EXPECT_EQ(analysis.shrink[0].log_loss, analysis.ensemble.scores.log_loss);
  EXPECT_EQ(analysis.shrink[1].log_loss,
            analysis.ensemble.instruments[0].scores.log_loss);
  EXPECT_NEAR(analysis.growth_with_replacement[0].log_loss,
              analysis.models[0].scores.log_loss_shrink_0002, 1e-12);
  EXPECT_NEAR(analysis.elimination.back().log_loss,
              analysis.models[0].scores.log_loss_shrink_0002, 1e-12);
  EXPECT_EQ(analysis.elimination.size(), 4u);
  double by_fold = 0;
  for (const double fold : analysis.ensemble.fold_log_loss) {
    by_fold += fold / 4;
  }
  EXPECT_NEAR(by_fold, plain, 1e-12) << "folds of equal size";
}

TEST(AnalyzeEnsembleTest, ListsByModelFollowTheOrderOfTheModels) {
  OofMatrix oof = MadeOof({.models = 3, .samples = 80});
  std::swap(oof.models[0], oof.models[2]);  // The best comes last.
  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof, {.full = true});
  ASSERT_EQ(analysis.models[0].model, 2u);
  const std::vector<double> matrix = CorrelationMatrix(oof);
  for (size_t i = 0; i < 3; ++i) {
    const ModelAnalysis& model = analysis.models[i];
    EXPECT_EQ(model.correlations[i], 1);
    for (size_t j = 0; j < 3; ++j) {
      EXPECT_EQ(model.correlations[j],
                matrix[3 * model.model + analysis.models[j].model]);
    }
    EXPECT_EQ(analysis.weightings[1].weights[i],
              GreedyWeights(oof)[model.model]);
  }
}

TEST(AnalyzeEnsembleTest, OnlyAFullOneHasWhatTakesTime) {
  const EnsembleAnalysis analysis = AnalyzeEnsemble(MadeOof({.draws = 2}));
  EXPECT_FALSE(analysis.ensemble.scores.auc_interval.has_value());
  EXPECT_TRUE(analysis.weightings.empty());
  EXPECT_TRUE(analysis.tta.empty());
}

TEST(AnalyzeEnsembleTest, ALabelIsAveragedOverTheModelsThatHaveIt) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "whole", 0.8, 0.2);
  AddModel(oof, "sulfate_only", 0.6, 0.4);
  DropLabel(oof, 0);
  ASSERT_TRUE(ValidateOof(oof).ok()) << ValidateOof(oof);
  const std::vector<double> mean = MeanOfModels(oof);
  EXPECT_DOUBLE_EQ(mean[0], 0.8) << "basalt";
  EXPECT_DOUBLE_EQ(mean[1], (0.2 + 0.4) / 2) << "sulfate";
  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof);
  EXPECT_THAT(analysis.labels, ElementsAre("basalt", "sulfate"));
  EXPECT_TRUE(analysis.unpredicted_labels.empty());
  ASSERT_EQ(analysis.models.size(), 2u);
  const ModelAnalysis& part = analysis.models[1];
  EXPECT_EQ(part.name, "sulfate_only");
  // All four of its cells are 0.6 away from wrong.
  const double p = Shrink(0.6, kShrinkCommercial);
  EXPECT_NEAR(part.scores.log_loss_shrink_0002, -std::log(p), 1e-12);
  EXPECT_EQ(part.scores.accuracy, 1);
  EXPECT_EQ(part.fold_log_loss.size(), 2u);
  EXPECT_NEAR(part.correlation, 1, 1e-12);
  const std::vector<double> prior = PriorPredictions(oof);
  EXPECT_NEAR(part.prior_log_loss, LabelLogLoss(oof, prior)[1], 1e-12);
  EXPECT_NEAR(analysis.models[0].prior_log_loss,
              analysis.prior.log_loss_shrink_0002, 1e-12);
  EXPECT_TRUE(std::isfinite(analysis.ensemble.scores.log_loss));
}

TEST(AnalyzeEnsembleTest, LabelsThatNoModelHasAreNamedAndNotScored) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "basalt_only", 0.8, 0.2);
  DropLabel(oof, 1);
  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof);
  EXPECT_THAT(analysis.labels, ElementsAre("basalt"));
  EXPECT_THAT(analysis.unpredicted_labels, ElementsAre("sulfate"));
  ASSERT_EQ(analysis.ensemble.labels.size(), 1u);
  EXPECT_DOUBLE_EQ(analysis.ensemble.scores.log_loss_shrink_0002,
                   analysis.ensemble.labels[0].log_loss);
  EXPECT_DOUBLE_EQ(analysis.prior.log_loss_shrink_0002,
                   LabelLogLoss(oof, PriorPredictions(oof))[0]);
  EXPECT_DOUBLE_EQ(analysis.growth[0].log_loss,
                   analysis.ensemble.scores.log_loss_shrink_0002);
}

}  // namespace
}  // namespace foldfarm
