#include "common/ensemble/prediction_mean.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsNan;

TEST(MeanOfFirstDrawsTest, TakesTheFirstDrawsAndNoMoreThanThereAre) {
  const std::vector<float> draws = {0.25f, 0.5f, 0.75f, 1.0f, 0.5f, 0.0f};
  EXPECT_THAT(MeanOfFirstDraws(draws, 2, 1), ElementsAre(0.25, 0.5));
  EXPECT_THAT(MeanOfFirstDraws(draws, 2, 2), ElementsAre(0.5, 0.75));
  EXPECT_THAT(MeanOfFirstDraws(draws, 2, 3), ElementsAre(0.5, 0.5));
  EXPECT_THAT(MeanOfFirstDraws(draws, 2, 16), ElementsAre(0.5, 0.5));
}

TEST(WeightedMeanOfModelsTest, ALabelIsAveragedOverTheModelsThatHaveIt) {
  const double none = std::nan("");
  const std::vector<std::vector<double>> models = {{0.25, none, none},
                                                   {0.75, 0.5, none}};
  EXPECT_THAT(WeightedMeanOfModels(models, {1, 1}),
              ElementsAre(0.5, 0.5, IsNan()));
  EXPECT_THAT(WeightedMeanOfModels(models, {3, 1}),
              ElementsAre(0.375, 0.5, IsNan()));
  EXPECT_THAT(WeightedMeanOfModels(models, {1, 0}),
              ElementsAre(0.25, IsNan(), IsNan()));
}

}  // namespace
}  // namespace foldfarm
