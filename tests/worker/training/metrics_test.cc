#include "worker/training/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace foldfarm {
namespace {

TEST(MetricsTest, LogLossClipsWhatIsCertain) {
  const std::vector<float> p = {1, 0, 0.25};
  const std::vector<float> y = {1, 1, 0};
  EXPECT_NEAR(LogLossClipped(p, y, 1e-3),
              -(std::log(0.999) + std::log(0.001) + std::log(0.75)) / 3, 1e-9);
}

TEST(MetricsTest, LogLossShrinksTowardsTheMiddle) {
  const std::vector<float> p = {1, 0};
  const std::vector<float> y = {1, 1};
  EXPECT_NEAR(LogLossShrunk(p, y, 0.002),
              -(std::log(0.998) + std::log(0.002)) / 2, 1e-9);
}

TEST(MetricsTest, AccuracyIsTheShareOnTheRightSideOfOneHalf) {
  const std::vector<float> p = {0.51f, 0.49f, 0.9f, 0.1f};
  const std::vector<float> y = {1, 1, 1, 0};
  EXPECT_EQ(Accuracy(p, y), 0.75);
  // As in the ensemble's figures, a label in the middle is absent.
  EXPECT_EQ(Accuracy(std::vector<float>{0.5f}, std::vector<float>{0}), 1);
  EXPECT_EQ(Accuracy(std::vector<float>{0.5f}, std::vector<float>{1}), 0);
}

}  // namespace
}  // namespace foldfarm
