#include "common/ensemble/bootstrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;

TEST(BootstrapDrawsTest, ADrawHasAsManySamplesAsThereAre) {
  const BootstrapDraws draws(763);
  std::vector<double> times(763, 0.0);
  for (size_t d = 0; d < draws.size(); ++d) {
    const auto counts = draws.counts(d);
    ASSERT_EQ(std::accumulate(counts.begin(), counts.end(), 0), 763);
    for (size_t i = 0; i < times.size(); ++i) times[i] += counts[i];
  }
  // Poisson of mean 1,000: nine deviations.
  for (const double sample : times) EXPECT_NEAR(sample, 1000, 300);
}

TEST(BootstrapDrawsTest, AreNumpysOfTheSameSeed) {
  // numpy.random.RandomState(42).randint(5, size=(1000, 5),
  // dtype=numpy.uint32)[:2]: [3, 4, 2, 4, 4], [1, 2, 2, 2, 4].
  const BootstrapDraws draws(5);
  EXPECT_THAT(draws.counts(0), ElementsAre(0, 0, 1, 1, 3));
  EXPECT_THAT(draws.counts(1), ElementsAre(0, 1, 3, 0, 1));
  EXPECT_THAT(BootstrapDraws(1).counts(999), ElementsAre(1));
}

TEST(IntervalOfTest, InterpolatesPercentilesAndLeavesOutDrawsWithoutAFigure) {
  std::vector<double> values;
  for (int i = 40; i >= 0; --i) values.push_back(i);
  values.push_back(kNaN);
  const auto interval = IntervalOf(values);
  ASSERT_TRUE(interval.has_value());
  EXPECT_DOUBLE_EQ(interval->low, 1);
  EXPECT_DOUBLE_EQ(interval->high, 39);
  EXPECT_DOUBLE_EQ(IntervalOf({1, 2})->low, 1.025);
  EXPECT_FALSE(IntervalOf({kNaN, kNaN}).has_value());
}

TEST(SampleSumsTest, TheMeanOfADrawIsOverItsCells) {
  const OofMatrix oof = SmallOof();
  // S2 has one cell only, S3 none.
  const std::vector<double> p = {1, 1, 1, kNaN, kNaN, kNaN, 1, 1};
  const SampleSums sums(oof, p, [](size_t sample, size_t cell) {
    return static_cast<double>(10 * sample + cell % 2);
  });
  const BootstrapDraws draws(4);
  const std::vector<double> means = sums.Means(draws);
  ASSERT_EQ(means.size(), draws.size());
  bool without_cells = false;
  for (size_t d = 0; d < draws.size(); ++d) {
    const auto n = draws.counts(d);
    const double cells = 2 * n[0] + n[1] + 2 * n[3];
    if (cells == 0) {
      EXPECT_TRUE(std::isnan(means[d]));
      without_cells = true;
    } else {
      EXPECT_DOUBLE_EQ(means[d], (n[0] * 1 + n[1] * 10 + n[3] * 61) / cells);
    }
  }
  EXPECT_TRUE(without_cells) << "one draw in 256 has S3 alone";
}

}  // namespace
}  // namespace foldfarm
