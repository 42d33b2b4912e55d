// The cut into folds, against scikit-learn's.
#include "common/spectra/folds.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "tests/common/spectra/test_files.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

SampleInfo Train(const std::string& id, const std::string& instrument) {
  return {id, "train", instrument, /*labelled=*/true};
}

std::vector<SampleInfo> TrainSamples(int commercial, int sam) {
  std::vector<SampleInfo> samples;
  for (int i = 0; i < commercial + sam; ++i) {
    samples.push_back(Train(absl::StrCat("S", i),
                            i < commercial ? "commercial" : "sam_testbed"));
  }
  return samples;
}

TEST(FoldsTest, EqualScikitLearnsOnTheTrainSamples) {
  const std::string path = SharedFile("golden/folds_train.csv");
  const auto text = ReadFile(path);
  if (!text.ok()) GTEST_SKIP() << path << " is absent";
  std::vector<SampleInfo> samples;
  std::vector<int> expected;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    const std::vector<std::string> cells = absl::StrSplit(line, ',');
    if (cells.size() != 4 || cells[0] == "sample_id") continue;
    samples.push_back(Train(cells[0], cells[3]));
    expected.push_back(std::stoi(cells[2]));
  }
  ASSERT_EQ(samples.size(), 766u);
  const auto folds = AssignFolds(samples, {});
  ASSERT_TRUE(folds.ok()) << folds.status();
  EXPECT_EQ(folds->count, 4);
  EXPECT_EQ(folds->fold, expected);
}

TEST(FoldsTest, InstrumentsAreSharedEvenlyAndSeedsDiffer) {
  const auto samples = TrainSamples(30, 6);
  const auto folds = AssignFolds(samples, {.count = 3});
  ASSERT_TRUE(folds.ok()) << folds.status();
  int commercial[3] = {};
  int sam[3] = {};
  for (size_t i = 0; i < samples.size(); ++i) {
    ASSERT_GE(folds->fold[i], 0);
    ASSERT_LT(folds->fold[i], 3);
    ++(i < 30 ? commercial : sam)[folds->fold[i]];
  }
  EXPECT_THAT(commercial, ElementsAre(10, 10, 10));
  EXPECT_THAT(sam, ElementsAre(2, 2, 2));
  const auto other = AssignFolds(samples, {.count = 3, .seed = 7});
  ASSERT_TRUE(other.ok());
  EXPECT_NE(other->fold, folds->fold);
}

TEST(FoldsTest, OnlyLabelledTrainSamplesAreFolded) {
  auto samples = TrainSamples(8, 0);
  samples[2].labelled = false;
  samples[5].split = "test";
  const auto folds = AssignFolds(samples, {.count = 2});
  ASSERT_TRUE(folds.ok()) << folds.status();
  EXPECT_EQ(folds->fold[2], Folds::kNotFolded);
  EXPECT_EQ(folds->fold[5], Folds::kNotFolded);
  EXPECT_NE(folds->fold[0], Folds::kNotFolded);
}

TEST(FoldsTest, MoreFoldsThanSamplesAreRefused) {
  const auto folds = AssignFolds(TrainSamples(3, 1), {.count = 4});
  EXPECT_EQ(folds.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(folds.status().message()),
              HasSubstr("has 3 labelled train samples, expected at least 4"));
}

TEST(FoldsTest, AnUnknownColumnIsRefused) {
  const auto folds =
      AssignFolds(TrainSamples(8, 0), {.count = 2, .stratify = "colour"});
  EXPECT_THAT(std::string(folds.status().message()),
              HasSubstr("no column 'colour'"));
}

TEST(FoldsTest, AnAssignmentDecidesAndForeignRowsAreCounted) {
  const auto folds = AssignFolds(
      TrainSamples(3, 0),
      {.assignment = {{"S0", 1}, {"S1", 0}, {"S2", 1}, {"S99", 0}}});
  ASSERT_TRUE(folds.ok()) << folds.status();
  EXPECT_THAT(folds->fold, ElementsAre(1, 0, 1));
  EXPECT_EQ(folds->count, 2);
  EXPECT_EQ(folds->ignored_assignments, 1);
}

TEST(FoldsTest, SamplesThatAnAssignmentLacksAreNamed) {
  const auto folds =
      AssignFolds(TrainSamples(9, 0), {.assignment = {{"S0", 1}, {"S1", 0}}});
  EXPECT_THAT(std::string(folds.status().message()),
              HasSubstr("7 labelled train samples of the dataset have no fold: "
                        "S2, S3, S4, S5, S6 and 2 more"));
}

TEST(FoldsTest, AnAssignmentWithAGapIsRefused) {
  const auto folds =
      AssignFolds(TrainSamples(2, 0), {.assignment = {{"S0", 0}, {"S1", 2}}});
  EXPECT_THAT(std::string(folds.status().message()),
              HasSubstr("fold 1 holds out no sample"));
}

TEST(FoldsTest, AHoldoutIsFoldZeroAndTheRestTrains) {
  const auto folds = AssignFolds(
      TrainSamples(2, 2),
      {.holdout_column = "instrument_type", .holdout_value = "sam_testbed"});
  ASSERT_TRUE(folds.ok()) << folds.status();
  EXPECT_EQ(folds->count, 1);
  EXPECT_THAT(folds->fold, ElementsAre(-1, -1, 0, 0));
}

TEST(FoldsTest, AHoldoutOfNothingIsRefused) {
  const auto folds = AssignFolds(
      TrainSamples(2, 2),
      {.holdout_column = "instrument_type", .holdout_value = "sam"});
  EXPECT_THAT(std::string(folds.status().message()),
              HasSubstr("holds out 0 of 4 labelled train samples"));
}

}  // namespace
}  // namespace foldfarm
