#include "coordinator/cli/submission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/base/files.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kLabels = {"basalt", "sulfide"};

std::vector<PredictedSample> Samples() {
  return {{"S1", "commercial", {0.5, 0.123456789}},
          {"S2", "sam_testbed", {0.0, 1.0}}};
}

SubmissionFormat Format(const std::vector<std::string>& labels,
                        const std::vector<std::string>& ids) {
  return {.path = "format.csv", .labels = labels, .sample_ids = ids};
}

TEST(SubmissionTest, ProbabilitiesAreShrunkByInstrumentToSixDecimals) {
  const auto made = MakeSubmission(kLabels, Samples(), nullptr, {});
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->csv,
            "sample_id,basalt,sulfide\n"
            "S1,0.500000,0.124963\n"
            "S2,0.010000,0.990000\n");
  EXPECT_EQ(made->rows, 2);
}

TEST(SubmissionTest, TheFormatDecidesOnRowsAndColumns) {
  const SubmissionFormat format = Format({"sulfide", "basalt"}, {"S2", "S1"});
  const auto made = MakeSubmission(kLabels, Samples(), &format, {});
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->csv,
            "sample_id,sulfide,basalt\n"
            "S2,0.990000,0.010000\n"
            "S1,0.124963,0.500000\n");
  EXPECT_THAT(made->unpredicted, IsEmpty());
  EXPECT_THAT(made->unasked, IsEmpty());
}

TEST(SubmissionTest, RowsWithoutAPredictionAreLeftOutAndNamed) {
  const SubmissionFormat format = Format(kLabels, {"S9", "S2", "S8"});
  const auto made = MakeSubmission(kLabels, Samples(), &format, {});
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->csv, "sample_id,basalt,sulfide\nS2,0.010000,0.990000\n");
  EXPECT_THAT(made->unpredicted, ElementsAre("S9", "S8"));
  EXPECT_THAT(made->unasked, ElementsAre("S1"));
}

TEST(SubmissionTest, RowsWithoutAPredictionCanHoldThePrior) {
  const SubmissionFormat format = Format(kLabels, {"S9", "S2"});
  const auto made = MakeSubmission(kLabels, Samples(), &format, {0.25, 0.75});
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->csv,
            "sample_id,basalt,sulfide\n"
            "S9,0.251000,0.749000\n"
            "S2,0.010000,0.990000\n");
  EXPECT_EQ(made->rows, 2);
  EXPECT_THAT(made->unpredicted, ElementsAre("S9"));
}

TEST(SubmissionTest, ALabelThatNoModelPredictsLeavesNoEmptyCells) {
  const std::vector<PredictedSample> samples = {
      {"S1", "commercial", {0.5, std::nan("")}}};
  const auto refused = MakeSubmission(kLabels, samples, nullptr, {});
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("no model predicts label sulfide"));
  const auto filled = MakeSubmission(kLabels, samples, nullptr, {0.1, 0.25});
  ASSERT_TRUE(filled.ok()) << filled.status();
  EXPECT_THAT(filled->csv, HasSubstr("S1,0.500000,0.251000\n"));
}

TEST(SubmissionTest, AFormatOfOtherLabelsIsRefused) {
  const std::vector<std::vector<std::string>> cases = {
      {"basalt"},
      {"basalt", "oxide"},
      {"basalt", "sulfide", "oxide"},
      {"basalt", "basalt"}};
  for (const std::vector<std::string>& labels : cases) {
    const SubmissionFormat format = Format(labels, {"S1"});
    const auto made = MakeSubmission(kLabels, Samples(), &format, {});
    EXPECT_EQ(made.status().code(), absl::StatusCode::kInvalidArgument)
        << labels.size();
  }
}

class SubmissionFormatTest : public ::testing::Test {
 protected:
  SubmissionFormatTest() : folder_(*MakeTemporaryDirectory("submission")) {}
  ~SubmissionFormatTest() override { RemoveRecursively(folder_).IgnoreError(); }
  absl::StatusOr<SubmissionFormat> Read(const std::string& text) {
    const std::string path = JoinPath(folder_, "format.csv");
    EXPECT_TRUE(WriteFileAtomically(path, text).ok());
    return ReadSubmissionFormat(path);
  }
  const std::string folder_;
};

TEST_F(SubmissionFormatTest, IdsAndLabelsAreReadInTheirOrder) {
  const auto format =
      Read("sample_id,sulfide,basalt\r\nS2,0.5,0.5\r\nS1,,\r\n");
  ASSERT_TRUE(format.ok()) << format.status();
  EXPECT_THAT(format->labels, ElementsAre("sulfide", "basalt"));
  EXPECT_THAT(format->sample_ids, ElementsAre("S2", "S1"));
}

TEST_F(SubmissionFormatTest, MistakesAreNamedWithFileAndLine) {
  EXPECT_THAT(std::string(Read("sample_id,a\nS1,0\nS1,0\n").status().message()),
              HasSubstr("format.csv:3: sample_id \"S1\" again"));
  EXPECT_THAT(std::string(Read("id,a\nS1,0\n").status().message()),
              HasSubstr("format.csv:1"));
  EXPECT_THAT(std::string(Read("sample_id\nS1\n").status().message()),
              HasSubstr("no label columns"));
  EXPECT_EQ(ReadSubmissionFormat(JoinPath(folder_, "absent")).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(PathOfDrawsTest, TheNumberStandsBeforeTheExtension) {
  EXPECT_EQ(PathOfDraws("out/sub.csv", 4), "out/sub.tta4.csv");
  EXPECT_EQ(PathOfDraws("out.d/sub", 4), "out.d/sub.tta4");
  EXPECT_EQ(PathOfDraws(".sub", 1), ".sub.tta1");
}

}  // namespace
}  // namespace foldfarm
