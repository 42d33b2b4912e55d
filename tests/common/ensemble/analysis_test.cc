#include "common/ensemble/analysis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;

std::vector<size_t> ModelsOf(const std::vector<SelectionStep>& steps) {
  std::vector<size_t> models;
  for (const SelectionStep& step : steps) models.push_back(step.model);
  return models;
}

// "fair" alone is best of the singles; "left" and "right" err on different
// labels, so their mean beats adding "bad".
OofMatrix FourModels() {
  OofMatrix oof = SmallOof();
  AddModel(oof, "bad", 0.3, 0.7);
  AddModel(oof, "left", 0.9, 0.1);
  AddModel(oof, "right", 0.9, 0.1);
  AddModel(oof, "fair", 0.8, 0.2);
  oof.models[1].probabilities[0] = 0.2;
  oof.models[2].probabilities[5] = 0.2;
  return oof;
}

TEST(GrowEnsembleTest, StartsWithTheBestAndAddsWhatHelpsMost) {
  const OofMatrix oof = FourModels();
  const std::vector<SelectionStep> steps = GrowEnsemble(oof);
  EXPECT_THAT(ModelsOf(steps), ElementsAre(3, 1, 2, 0));
  EXPECT_DOUBLE_EQ(steps[0].log_loss,
                   ShrunkLogLoss(oof.truth, oof.models[3].probabilities));
  EXPECT_NEAR(steps[2].log_loss,
              ShrunkLogLoss(oof.truth, MeanOfModels(oof, {1, 2, 3})), 1e-12);
  EXPECT_NEAR(steps[3].log_loss, ShrunkLogLoss(oof.truth, MeanOfModels(oof)),
              1e-12);
}

TEST(EliminateBackwardTest, RemovesTheWorstFirst) {
  const OofMatrix oof = FourModels();
  const std::vector<SelectionStep> steps = EliminateBackward(oof);
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].model, 0u);
  EXPECT_NEAR(steps[0].log_loss,
              ShrunkLogLoss(oof.truth, MeanOfModels(oof, {1, 2, 3})), 1e-12);
}

TEST(EliminateBackwardTest, StaysFiniteWhenModelsAreCertain) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "a", 1, 0);
  AddModel(oof, "b", 0, 1);
  AddModel(oof, "c", 0.1, 0.3);
  for (const SelectionStep& step : EliminateBackward(oof)) {
    EXPECT_TRUE(std::isfinite(step.log_loss));
  }
}

TEST(GrowEnsembleTest, EqualModelsAreTakenInTheirOrder) {
  OofMatrix oof = SmallOof();
  for (const char* name : {"a", "b", "c"}) AddModel(oof, name, 0.8, 0.2);
  EXPECT_THAT(ModelsOf(GrowEnsemble(oof)), ElementsAre(0, 1, 2));
}

TEST(CorrelationMatrixTest, IsSymmetricWithOnesOnItsDiagonal) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "a", 0.9, 0.1);
  AddModel(oof, "b", 0.2, 0.6);
  const std::vector<double> matrix = CorrelationMatrix(oof);
  EXPECT_EQ(matrix[0], 1.0);
  EXPECT_NEAR(matrix[1], -1.0, 1e-12);
  EXPECT_EQ(matrix[1], matrix[2]);
}

TEST(TtaCurveTest, UsesTheFirstDrawsThatAllModelsHave) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "a", 0.75, 0.25);
  for (double truth : oof.truth) oof.models[0].draws.push_back(truth);
  oof.models[0].draws.resize(16, 0.5);
  const std::vector<TtaPoint> curve = TtaCurve(oof, {1, 2, 4});
  ASSERT_EQ(curve.size(), 2u);
  EXPECT_EQ(curve[0].count, 1);
  EXPECT_DOUBLE_EQ(curve[0].log_loss, ShrunkLogLoss(oof.truth, oof.truth));
  EXPECT_DOUBLE_EQ(curve[1].log_loss,
                   ShrunkLogLoss(oof.truth, oof.models[0].probabilities));
  AddModel(oof, "b", 0.75, 0.25);  // Has no draws.
  EXPECT_TRUE(TtaCurve(oof, {1, 2, 4}).empty());
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
  EXPECT_DOUBLE_EQ(analysis.ensemble.log_loss,
                   InstrumentLogLoss(oof, MeanOfModels(oof)));
  EXPECT_DOUBLE_EQ(analysis.prior.log_loss,
                   InstrumentLogLoss(oof, PriorPredictions(oof)));
  EXPECT_EQ(analysis.growth[0].model, analysis.models[0].model);
  EXPECT_EQ(analysis.label_log_loss.size(), 2u);
}

TEST(AnalyzeEnsembleTest, TheMeanIsNeverWorseThanItsModelsOnAverage) {
  OofMatrix oof;
  std::mt19937 random(7);
  std::uniform_real_distribution<double> uniform;
  oof.labels = {"a", "b", "c"};
  for (int i = 0; i < 200; ++i) {
    oof.sample_ids.push_back(absl::StrCat("S", i));
    oof.instrument_types.push_back("commercial");
    oof.folds.push_back(i % 4);
    for (int l = 0; l < 3; ++l) oof.truth.push_back(uniform(random) < 0.3);
  }
  for (int m = 0; m < 5; ++m) {
    OofModel model{absl::StrCat("m", m)};
    for (double truth : oof.truth) {
      model.probabilities.push_back(0.7 * truth + 0.3 * uniform(random));
    }
    oof.models.push_back(model);
  }
  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof);
  // Log loss is convex, so Jensen's inequality holds whatever was drawn.
  double average = 0;
  for (const ModelAnalysis& model : analysis.models) {
    average += model.scores.log_loss / 5;
    EXPECT_LT(model.scores.log_loss, analysis.prior.log_loss);
  }
  EXPECT_LT(analysis.ensemble.log_loss, average);
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
  EXPECT_TRUE(std::isfinite(analysis.ensemble.log_loss));
}

TEST(AnalyzeEnsembleTest, LabelsThatNoModelHasAreNamedAndNotScored) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "basalt_only", 0.8, 0.2);
  DropLabel(oof, 1);
  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof);
  EXPECT_THAT(analysis.labels, ElementsAre("basalt"));
  EXPECT_THAT(analysis.unpredicted_labels, ElementsAre("sulfate"));
  ASSERT_EQ(analysis.label_log_loss.size(), 1u);
  EXPECT_DOUBLE_EQ(analysis.ensemble.log_loss_shrink_0002,
                   analysis.label_log_loss[0]);
  EXPECT_DOUBLE_EQ(analysis.prior.log_loss_shrink_0002,
                   LabelLogLoss(oof, PriorPredictions(oof))[0]);
  EXPECT_DOUBLE_EQ(analysis.growth[0].log_loss,
                   analysis.ensemble.log_loss_shrink_0002);
}

TEST(GrowEnsembleTest, ALabelThatNoMemberHasYetCountsWithThePrior) {
  OofMatrix oof = SmallOof();
  // Perfect on one label, silent on the other: worth less than a fair model of
  // both.
  AddModel(oof, "basalt_only", 1, 0);
  DropLabel(oof, 1);
  AddModel(oof, "whole", 0.8, 0.2);
  const std::vector<SelectionStep> steps = GrowEnsemble(oof);
  EXPECT_THAT(ModelsOf(steps), ElementsAre(1, 0));
  EXPECT_NEAR(steps[1].log_loss, ShrunkLogLoss(oof.truth, MeanOfModels(oof)),
              1e-12);
  const std::vector<SelectionStep> removed = EliminateBackward(oof);
  ASSERT_EQ(removed.size(), 1u);
  EXPECT_EQ(removed[0].model, 0u);
  EXPECT_NEAR(removed[0].log_loss, steps[0].log_loss, 1e-12);
}

TEST(TtaCurveTest, LeavesOutWhatNobodyPredicts) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "basalt_only", 0.8, 0.2);
  DropLabel(oof, 1);
  oof.models[0].draws = oof.models[0].probabilities;
  const std::vector<TtaPoint> curve = TtaCurve(oof, {1});
  ASSERT_EQ(curve.size(), 1u);
  EXPECT_NEAR(curve[0].log_loss,
              ShrunkLogLoss(oof.truth, oof.models[0].probabilities), 1e-12);
}

}  // namespace
}  // namespace foldfarm
