#include "worker/render/column_candidates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace foldfarm {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kMissing = 99;

// Entries of one row.
struct Row {
  std::vector<int64_t> scans;
  std::vector<double> cumulative;
};

Row RowOf(const ColumnCandidates& table, int64_t row) {
  Row result;
  for (size_t i = 0; i < table.scan.size(); ++i) {
    const double upper = table.cumulative[i];
    if (upper > row && upper <= row + 1) {
      result.scans.push_back(table.scan[i]);
      result.cumulative.push_back(upper - row);
    }
  }
  return result;
}

TEST(ColumnCandidatesTest, CandidatesLieWithinTheQueryRangeOfTheColumn) {
  RenderOptions options;
  options.temp_query_range = 16;
  // Column 5 stands at 90: floor(73.99) is outside, floor(106.99) inside.
  const std::vector<double> temperature = {20,     73.99,  74.01, 90,
                                           106.99, 107.01, 300};
  const ColumnCandidates table =
      FindColumnCandidates({0, 7}, temperature, options, kMissing);
  EXPECT_THAT(RowOf(table, 5).scans, ElementsAre(2, 3, 4));
  EXPECT_EQ(table.nearest[5], 3);
}

TEST(ColumnCandidatesTest, FirstAndLastScanOfASampleAreNeverCandidates) {
  const std::vector<double> temperature = {30, 30.5, 31, 30, 30.5, 31, 32};
  const ColumnCandidates table =
      FindColumnCandidates({0, 3, 7}, temperature, {}, kMissing);
  EXPECT_THAT(RowOf(table, 0).scans, ElementsAre(1));
  EXPECT_THAT(RowOf(table, kNumColumns).scans, ElementsAre(4, 5));
}

TEST(ColumnCandidatesTest, NearerScansAreLikelierAsTheRecipeWeighsThem) {
  const std::vector<double> temperature = {28, 35.42, 35.68, 46.311, 400};
  const ColumnCandidates table =
      FindColumnCandidates({0, 5}, temperature, {}, kMissing);
  const Row row = RowOf(table, 0);
  ASSERT_THAT(row.scans, ElementsAre(1, 2, 3));
  const double a = 1 / (12 + 5.42), b = 1 / (12 + 5.68), c = 1 / (12 + 16.311);
  EXPECT_NEAR(row.cumulative[0], a / (a + b + c), 1e-12);
  EXPECT_NEAR(row.cumulative[1], (a + b) / (a + b + c), 1e-12);
  EXPECT_EQ(row.cumulative[2], 1);
}

TEST(ColumnCandidatesTest, ColumnWithoutScansIsMissing) {
  const std::vector<double> temperature = {30, 31, 32};
  const ColumnCandidates table =
      FindColumnCandidates({0, 3}, temperature, {}, kMissing);
  EXPECT_THAT(RowOf(table, 40).scans, ElementsAre(kMissing));
  EXPECT_EQ(table.nearest[40], kMissing);
}

TEST(ColumnCandidatesTest, EarlierScanWinsATieForTheNearest) {
  const std::vector<double> temperature = {20, 28, 32, 50};
  const ColumnCandidates table =
      FindColumnCandidates({0, 4}, temperature, {}, kMissing);
  EXPECT_EQ(table.nearest[0], 1);
}

TEST(ColumnCandidatesTest, ScansOutOfOrderAreFoundAllTheSame) {
  const std::vector<double> temperature = {20, 32, 500, 29, 50};
  const ColumnCandidates table =
      FindColumnCandidates({0, 5}, temperature, {}, kMissing);
  EXPECT_THAT(RowOf(table, 0).scans, ElementsAre(1, 3));
  EXPECT_EQ(table.nearest[0], 3);
}

}  // namespace
}  // namespace foldfarm
