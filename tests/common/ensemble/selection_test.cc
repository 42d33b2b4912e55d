#include "common/ensemble/selection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/ensemble/scores.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;

std::vector<size_t> ModelsOf(const std::vector<SelectionStep>& steps) {
  std::vector<size_t> models;
  for (const SelectionStep& step : steps) models.push_back(step.model);
  return models;
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

TEST(GrowWithReplacementTest, TakesAModelAgainUntilNothingHelps) {
  // "poor" mends two cells of "good"; two parts of good to one are best.
  OofMatrix oof = SmallOof();
  oof.truth = {1, 1, 1, 1, 1, 1, 1, 1};
  AddModel(oof, "good", 0.9, 0);
  AddModel(oof, "poor", 0.5, 0);
  for (const size_t cell : {0, 1}) {
    oof.models[0].probabilities[cell] = 0.15;
    oof.models[1].probabilities[cell] = 0.8;
  }
  const std::vector<SelectionStep> steps = GrowWithReplacement(oof);
  ASSERT_GE(steps.size(), 3u);
  EXPECT_EQ(steps[0].model, 0u);
  EXPECT_EQ(steps[1].model, 1u);
  EXPECT_EQ(steps[2].model, 0u);
  EXPECT_NEAR(steps[2].log_loss,
              ShrunkLogLoss(oof.truth, MeanOfModels(oof, {0, 1, 0})), 1e-12);
  for (size_t i = 1; i < steps.size(); ++i) {
    EXPECT_LT(steps[i].log_loss, steps[i - 1].log_loss);
  }
  // No further model would help by more than the limit.
  std::vector<size_t> members = ModelsOf(steps);
  for (const size_t next : {0, 1}) {
    members.push_back(next);
    EXPECT_GT(ShrunkLogLoss(oof.truth, MeanOfModels(oof, members)),
              steps.back().log_loss - kLeastGrowthGain);
    members.pop_back();
  }
}

TEST(GrowWithReplacementTest, StopsAtOneWhenTheOthersOnlyHarm) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "good", 0.9, 0.1);
  AddModel(oof, "bad", 0.3, 0.7);
  EXPECT_THAT(ModelsOf(GrowWithReplacement(oof)), ElementsAre(0));
}

}  // namespace
}  // namespace foldfarm
