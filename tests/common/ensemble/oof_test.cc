#include "common/ensemble/oof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using testing::DoubleEq;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

std::string Mistake(const OofMatrix& oof) {
  return std::string(ValidateOof(oof).message());
}

TEST(ValidateOofTest, TakesAWholeMatrix) {
  OofMatrix oof = SmallOof();
  EXPECT_TRUE(ValidateOof(oof).ok());
  AddModel(oof, "a", 1.0, 0.0);
  EXPECT_TRUE(ValidateOof(oof).ok()) << ValidateOof(oof);
}

TEST(ValidateOofTest, NamesModelSampleAndLabelAtFault) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "130_gru", 0.9, 0.1);
  oof.models[0].probabilities[5] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Mistake(oof),
            "model 130_gru: sample S3, label sulfate: got nan, expected a "
            "number in [0, 1]");
  oof.models[0].probabilities[5] = 1.5;
  EXPECT_THAT(Mistake(oof), HasSubstr("got 1.5"));
}

TEST(ValidateOofTest, RefusesWhatDoesNotFit) {
  EXPECT_THAT(Mistake({}), HasSubstr("0 samples and 0 labels"));
  OofMatrix oof = SmallOof();
  oof.truth.pop_back();
  EXPECT_THAT(Mistake(oof), HasSubstr("truth: got 7 values, expected 8"));
  oof = SmallOof();
  oof.folds[2] = -1;
  EXPECT_THAT(Mistake(oof), HasSubstr("sample S3: fold is -1"));
  oof = SmallOof();
  oof.sample_ids[3] = "S1";
  EXPECT_THAT(Mistake(oof), HasSubstr("duplicate sample \"S1\""));
  oof = SmallOof();
  AddModel(oof, "a", 1, 0);
  AddModel(oof, "a", 1, 0);
  EXPECT_THAT(Mistake(oof), HasSubstr("duplicate model \"a\""));
  oof = SmallOof();
  AddModel(oof, "a", 1, 0);
  oof.models[0].draws.resize(9);
  EXPECT_THAT(Mistake(oof), HasSubstr("expected a multiple of 8"));
}

TEST(MeanOfModelsTest, IsThePlainMeanOfThoseNamed) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "a", 1.0, 0.0);
  AddModel(oof, "b", 0.5, 0.5);
  AddModel(oof, "c", 0.0, 1.0);
  EXPECT_THAT(MeanOfModels(oof), Each(DoubleEq(0.5)));
  EXPECT_THAT(MeanOfModels(oof, {0, 1}),
              ElementsAre(0.75, 0.25, 0.25, 0.25, 0.75, 0.75, 0.75, 0.25));
}

TEST(PriorPredictionsTest, AFoldIsPredictedByThePrevalenceOfTheOthers) {
  // Fold 1 has basalt in 2 of 2 and sulfate in 1 of 2; fold 0 1 and 0 of 2.
  EXPECT_THAT(PriorPredictions(SmallOof()),
              ElementsAre(1.0, 0.5, 1.0, 0.5, 0.5, 0.0, 0.5, 0.0));
}

TEST(PriorPredictionsTest, AHoldOutIsPredictedByItsOwnPrevalence) {
  OofMatrix oof = SmallOof();
  oof.folds = {0, 0, 0, 0};
  EXPECT_THAT(PriorPredictions(oof),
              ElementsAre(0.75, 0.25, 0.75, 0.25, 0.75, 0.25, 0.75, 0.25));
}

TEST(ValidateOofTest, APredictionForALabelThatTheModelDoesNotHaveIsRefused) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "part", 0.8, 0.2);
  DropLabel(oof, 1);
  EXPECT_TRUE(ValidateOof(oof).ok());
  oof.models[0].probabilities[1] = 0.5;
  EXPECT_THAT(std::string(ValidateOof(oof).message()),
              testing::HasSubstr("label sulfate: got 0.5, expected none"));
  DropLabel(oof, 1);
  oof.models[0].probabilities[0] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(ValidateOof(oof).ok());
  DropLabel(oof, 0);
  EXPECT_THAT(std::string(ValidateOof(oof).message()),
              testing::HasSubstr("model part predicts no label"));
}

}  // namespace
}  // namespace foldfarm
