#include "common/base/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace foldfarm {
namespace {

using ::testing::ElementsAre;

constexpr std::array<double, 3> kBounds = {1, 2, 5};

TEST(HistogramTest, CountsUpToEachBoundInclusively) {
  Histogram histogram(kBounds);
  for (const double value : {0.5, 1.0, 1.5, 5.0, 7.0}) histogram.Observe(value);
  const Histogram::Reading reading = histogram.Read();
  EXPECT_THAT(reading.cumulative, ElementsAre(2, 3, 4, 5));
  EXPECT_EQ(reading.count(), 5);
  EXPECT_DOUBLE_EQ(reading.sum, 15);
}

TEST(HistogramTest, LosesNothingBetweenThreads) {
  Histogram histogram(kBounds);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&histogram] {
      for (int i = 0; i < 10000; ++i) histogram.Observe(3);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Histogram::Reading reading = histogram.Read();
  EXPECT_THAT(reading.cumulative, ElementsAre(0, 0, 40000, 40000));
  EXPECT_DOUBLE_EQ(reading.sum, 120000);
}

}  // namespace
}  // namespace foldfarm
