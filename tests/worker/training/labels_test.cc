#include "worker/training/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/worker/render/made_dataset.h"

namespace foldfarm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kSamples = 12;

const PreparedDataset& Dataset() {
  static const auto& dataset = *new std::shared_ptr<const PreparedDataset>(
      MakeDataset({.num_samples = kSamples, .sam_every = 3}));
  return *dataset;
}

template <typename T>
void ExpectInvalid(const absl::StatusOr<T>& result,
                   ::testing::Matcher<std::string> message) {
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), message);
}

TEST(LabelsTest, ChosenLabelsComeInTheDatasetsOrder) {
  const DatasetHeader& header = Dataset().header();
  EXPECT_THAT(*LabelColumns(header, {}), ElementsAre(0, 1, 2));
  const auto columns = LabelColumns(header, {"label2", "label0"});
  ASSERT_TRUE(columns.ok()) << columns.status();
  EXPECT_THAT(*columns, ElementsAre(0, 2));
  EXPECT_THAT(LabelNames(header, *columns), ElementsAre("label0", "label2"));
  const auto labels = LabelsOf(Dataset(), {"M0003", "M0001"}, *columns);
  ASSERT_TRUE(labels.ok());
  EXPECT_THAT(*labels,
              ElementsAre(Dataset().labels()[9], Dataset().labels()[11],
                          Dataset().labels()[3], Dataset().labels()[5]));
}

TEST(LabelsTest, UnknownOrRepeatedLabelIsRefused) {
  const DatasetHeader& header = Dataset().header();
  ExpectInvalid(
      LabelColumns(header, {"label0", "basalt"}),
      AllOf(HasSubstr("\"basalt\""), HasSubstr("label0, label1, label2")));
  ExpectInvalid(LabelColumns(header, {"label0", "label0"}),
                HasSubstr("\"label0\" twice"));
}

TEST(SelectSamplesTest, KeepsThoseThatAgreeInEveryColumn) {
  const std::vector<std::string> ids = MadeSampleIds(1, 8);
  EXPECT_EQ(*SelectSamples(Dataset(), ids, {}, "here"), ids);
  EXPECT_THAT(
      *SelectSamples(Dataset(), ids, {{"instrument_type", "sam_testbed"}}, ""),
      ElementsAre("M0003", "M0006"));
  EXPECT_THAT(*SelectSamples(
                  Dataset(), ids,
                  {{"instrument_type", "commercial"}, {"split", "train"}}, ""),
              ElementsAre("M0001", "M0002", "M0004", "M0005", "M0007"));
}

TEST(SelectSamplesTest, SaysWhichValuesThereAreWhenTooFewAreLeft) {
  ExpectInvalid(
      SelectSamples(Dataset(), MadeSampleIds(1, 8),
                    {{"instrument_type", "sam"}}, "stages[1].samples"),
      AllOf(HasSubstr("stages[1].samples {instrument_type: sam} leaves 0 of 7"),
            HasSubstr("instrument_type is one of commercial, sam_testbed")));
  // One sample cannot make a batch.
  ExpectInvalid(
      SelectSamples(Dataset(), MadeSampleIds(1, 4),
                    {{"instrument_type", "sam_testbed"}}, "stages[0].samples"),
      HasSubstr("leaves 1 of 3"));
  ExpectInvalid(SelectSamples(Dataset(), MadeSampleIds(1, 4),
                              {{"colour", "red"}}, "stages[0].samples"),
                AllOf(HasSubstr("\"colour\""),
                      HasSubstr("expected instrument_type or split")));
}

TEST(WeighPositivesTest, BalancesByTheCountsOfTheTrainSamples) {
  const std::vector<std::string> ids = MadeSampleIds(2, kSamples);
  double positives[3] = {};
  for (int n = 2; n < kSamples; ++n) {
    for (int label = 0; label < 3; ++label) {
      positives[label] += Dataset().labels()[n * 3 + label];
    }
  }
  TrainOptions options;
  EXPECT_TRUE(WeighPositives(Dataset(), ids, {0, 1, 2}, options)->none());
  options.balance = 0.5;
  const auto weights = WeighPositives(Dataset(), ids, {0, 2}, options);
  ASSERT_TRUE(weights.ok()) << weights.status();
  ASSERT_EQ(weights->weights.size(), 2u);
  EXPECT_DOUBLE_EQ(weights->weights[0],
                   std::sqrt((10 - positives[0]) / positives[0]));
  EXPECT_DOUBLE_EQ(weights->weights[1],
                   std::sqrt((10 - positives[2]) / positives[2]));
}

TEST(WeighPositivesTest, NamedWeightsComeBeforeTheBalance) {
  TrainOptions options;
  options.balance = 1;
  options.positive_weights = {{"label1", 7}};
  const auto weights =
      WeighPositives(Dataset(), MadeSampleIds(0, kSamples), {0, 1}, options);
  ASSERT_TRUE(weights.ok());
  EXPECT_EQ(weights->weights[1], 7);
  options.positive_weights = {{"lable1", 7}};
  ExpectInvalid(
      WeighPositives(Dataset(), MadeSampleIds(0, kSamples), {0, 1}, options),
      AllOf(HasSubstr("\"lable1\""), HasSubstr("label0, label1, label2")));
}

TEST(WeighPositivesTest, LabelWithoutPositivesWeighsOneAndIsNamed) {
  // Samples without label 0, as many as there are.
  std::vector<std::string> ids;
  for (int n = 0; n < kSamples; ++n) {
    if (Dataset().labels()[n * 3] == 0)
      ids.push_back(MadeSampleIds(n, n + 1)[0]);
  }
  TrainOptions options;
  options.balance = 1;
  const auto weights = WeighPositives(Dataset(), ids, {0, 1, 2}, options);
  ASSERT_TRUE(weights.ok());
  EXPECT_EQ(weights->weights[0], 1);
  EXPECT_THAT(weights->no_positive, ElementsAre("label0"));
}

}  // namespace
}  // namespace foldfarm
