// What `foldfarm-trainer describe` says of models, against counts by hand.
#include "worker/trainer/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/json_text.h"
#include "nlohmann/json.hpp"

namespace foldfarm {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

// The answers for a list of models, given as JSON.
Json Describe(const std::string& models, int labels = 10) {
  const auto answer = DescribeModels(
      absl::StrCat(R"({"labels": )", labels, R"(, "models": [)", models, "]}"));
  EXPECT_TRUE(answer.ok()) << answer.status();
  return answer.ok() ? ParseJson(*answer)["models"] : Json::array();
}

Json DescribeOne(const std::string& model) {
  const Json answers = Describe(model);
  EXPECT_EQ(answers.size(), 1u);
  EXPECT_FALSE(answers[0].contains("error")) << answers[0];
  return answers[0];
}

TEST(DescribeTest, ASmallResidualNetworkCostsWhatAHandCountSays) {
  const Json answer = DescribeOne(
      R"({"name": "a", "arch": {"resnet": {"layers": [1], "widths": [2]}}})");
  EXPECT_EQ(answer["name"], "a");
  // Stem 7 x 7, two channels; two 3 x 3 convolutions; three batch norms; fc.
  EXPECT_EQ(answer["parameters"], 2 * 49 + 2 * 2 * 2 * 9 + 3 * 4 + 4 * 10 + 10);
  EXPECT_EQ(answer["multiply_adds"],
            50 * 40 * 2 * 49 + 2 * (25 * 20 * 2 * 2 * 9) + 4 * 10);
}

TEST(DescribeTest, ARecurrentLayerCountsEveryWeightOnceATemperature) {
  for (const auto& [cell, gates] : {std::pair("gru", 3), {"lstm", 4}}) {
    const Json answer =
        DescribeOne(absl::StrCat(R"({"name": "a", "arch": {"rnn": {"cell": ")",
                                 cell, R"(", "hidden": 4, "layers": 2}}})"));
    const int first = gates * 4 * (101 + 4), second = gates * 4 * (8 + 4);
    EXPECT_EQ(answer["multiply_adds"], 80 * 2 * (first + second) + 8 * 10)
        << cell;
  }
}

TEST(DescribeTest, AnEmbeddedPatchCostsNoMultiplications) {
  const Json answer = DescribeOne(
      R"({"name": "a", "arch": {"vit": {"dim": 8, "depth": 1, "heads": 2}}})");
  const int tokens = 1001, dim = 8;
  const int weights = 4 * dim * dim + 2 * dim * 4 * dim;
  EXPECT_EQ(answer["multiply_adds"],
            tokens * weights + 2 * tokens * tokens * dim + dim * 10);
}

TEST(DescribeTest, AResnet34CostsWhatIsPublishedOfIt) {
  const Json answer = DescribeOne(R"({"name": "a", "arch": {"resnet": {}}})");
  EXPECT_EQ(answer["parameters"], 21288650);
  // 3.67e9 for 224 x 224 x 3 (torchvision); 100 x 80 x 1 is a bit more than
  // the share of its pixels, since odd sizes round up.
  EXPECT_NEAR(answer["multiply_adds"].get<double>(), 0.65e9, 0.02e9);
}

TEST(DescribeTest, MemoryGrowsWithBatchAndWithCopiesOfTheWeights) {
  const auto memory = [](const std::string& train) {
    return DescribeOne(absl::StrCat(
        R"({"name": "a", "arch": {"conv1d": {}}, "train": {)", train,
        "}}"))["memory_bytes"]
        .get<int64_t>();
  };
  const int64_t parameter_bytes = 4 * 397194;
  const int64_t batch8 = memory(R"("batch": 8)");
  const int64_t batch16 = memory(R"("batch": 16)");
  EXPECT_GT(batch8, kRuntimeBytes + 4 * parameter_bytes);
  // The image as a sequence, and its stem, are the least that is kept.
  EXPECT_GT(batch16 - batch8, 8 * 4 * 80 * (101 + 128));
  EXPECT_EQ(memory(R"("batch": 24)") - batch16, batch16 - batch8);
  EXPECT_EQ(batch8 - memory(R"("batch": 8, "optimizer": "OPTIMIZER_SGD")"),
            parameter_bytes);
  EXPECT_EQ(memory(R"("batch": 8, "ema": 0.999)") - batch8, parameter_bytes);
  EXPECT_LT(memory(R"("batch": 64, "precision": "PRECISION_BF16")"),
            memory(R"("batch": 64)"));
}

TEST(DescribeTest, ABadModelSpoilsNoOther) {
  const Json answers =
      Describe(R"({"name": "heads", "arch": {"vit": {"heads": 7}}},)"
               R"({"name": "typo", "arch": {"resnet": {"depth": 3}}},)"
               R"({"name": "good", "arch": {"conv1d": {}}}, 7)");
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[0]["name"], "heads");
  EXPECT_THAT(answers[0]["error"].get<std::string>(),
              HasSubstr("arch.vit: dim 512 with 7 heads"));
  EXPECT_THAT(answers[1]["error"].get<std::string>(), HasSubstr("depth"));
  EXPECT_EQ(answers[2]["parameters"], 397194);
  EXPECT_THAT(answers[3]["error"].get<std::string>(), HasSubstr("number"));
}

TEST(DescribeTest, WhatIsNotANetworkHasNoFigures) {
  const Json answers =
      Describe(R"({"name": "trees", "arch": {"xgboost": {}}},)"
               R"({"name": "own", "arch": {"exec": {"command": ["./train"]}}},)"
               R"({"name": "none", "arch": {"none": {}}})");
  for (const char* figure : {"parameters", "multiply_adds", "memory_bytes"}) {
    EXPECT_TRUE(answers[0][figure].is_null()) << figure;
    EXPECT_TRUE(answers[1][figure].is_null()) << figure;
  }
  EXPECT_EQ(answers[2]["parameters"], 0);
  EXPECT_EQ(answers[2]["multiply_adds"], 0);
  EXPECT_EQ(answers[2]["memory_bytes"], kRuntimeBytes);
}

TEST(DescribeTest, AModelOfFewLabelsHasFewOutputs) {
  const auto parameters = [](const std::string& labels) {
    return DescribeOne(absl::StrCat(
        R"({"name": "a", "arch": {"conv1d": {}}, "labels": [)", labels,
        "]}"))["parameters"]
        .get<int>();
  };
  EXPECT_EQ(parameters("") - parameters(R"("basalt")"), 9 * (2 * 128 + 1));
}

TEST(DescribeTest, ADocumentOfAnotherFormIsRefused) {
  for (const char* document :
       {"", "[]", "{}", R"({"labels": 0, "models": []})",
        R"({"labels": "ten", "models": []})", R"({"labels": 10})"}) {
    EXPECT_EQ(DescribeModels(document).status().code(),
              absl::StatusCode::kInvalidArgument)
        << document;
  }
}

}  // namespace
}  // namespace foldfarm
