#include "worker/init/weights_match.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace foldfarm {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

using File = std::map<std::string, WeightsTensor>;

WeightsTensor F32(std::vector<int64_t> shape) {
  return {DType::kF32, std::move(shape)};
}

// A simple_cls network: a backbone of one channel and our own last layer.
std::vector<NetworkTensor> Network() {
  return {{"base_model.conv1.weight", {8, 1, 7, 7}},
          {"base_model.bn1.weight", {8}},
          {"base_model.layer1.0.conv1.weight", {8, 8, 3, 3}},
          {"fc.weight", {10, 16}},
          {"fc.bias", {10}},
          {"base_model.bn1.running_mean", {8}},
          {"base_model.bn1.num_batches_tracked", {}, false}};
}

// timm's file of that backbone, its names behind `prefix`.
File TimmFile(const std::string& prefix) {
  return {{prefix + "conv1.weight", F32({8, 3, 7, 7})},
          {prefix + "bn1.weight", F32({8})},
          {prefix + "bn1.running_mean", F32({8})},
          {prefix + "layer1.0.conv1.weight", F32({8, 8, 3, 3})},
          {prefix + "fc.weight", F32({1000, 8})},
          {prefix + "fc.bias", F32({1000})}};
}

std::vector<std::string> Ours(const WeightsMatch& match) {
  std::vector<std::string> names;
  for (const auto& pair : match.pairs) names.push_back(pair.ours);
  return names;
}

TEST(WeightsMatchTest, BackboneOfTimmGoesUnderOurPrefix) {
  for (const char* prefix : {"", "module.", "model.encoder."}) {
    const WeightsMatch match = MatchWeights(Network(), TimmFile(prefix), {});
    EXPECT_EQ(match.strip, prefix);
    EXPECT_EQ(match.add, "base_model.");
    EXPECT_THAT(Ours(match),
                ElementsAre("base_model.conv1.weight", "base_model.bn1.weight",
                            "base_model.layer1.0.conv1.weight",
                            "base_model.bn1.running_mean"))
        << prefix;
    EXPECT_TRUE(match.pairs[0].adapt_channels);
    EXPECT_FALSE(match.pairs[2].adapt_channels);
    EXPECT_THAT(match.missing, ElementsAre("fc.weight", "fc.bias"));
  }
}

TEST(WeightsMatchTest, OurOwnFilesGoWhereTheyCameFrom) {
  File file;
  for (const NetworkTensor& tensor : Network()) {
    file[tensor.name] = {tensor.floating ? DType::kF32 : DType::kI64,
                         tensor.shape};
  }
  const WeightsMatch match = MatchWeights(Network(), file, {});
  EXPECT_EQ(match.pairs.size(), Network().size());
  EXPECT_EQ(match.share, 1);
  EXPECT_EQ(match.strip, "");
  EXPECT_EQ(match.add, "");
}

TEST(WeightsMatchTest, ClassifierOfAnotherSizeIsLeftOutAndSaid) {
  const WeightsMatch match = MatchWeights(
      {{"base_model.conv1.weight", {8, 3, 7, 7}},
       {"base_model.fc.weight", {10, 8}}},
      {{"conv1.weight", F32({8, 3, 7, 7})}, {"fc.weight", F32({1000, 8})}}, {});
  EXPECT_THAT(match.unused,
              ElementsAre(Pair("fc.weight",
                               "F32 [1000, 8], the network's is [10, 8]")));
  EXPECT_THAT(match.missing, ElementsAre("base_model.fc.weight"));
}

TEST(WeightsMatchTest, PositionsOfAnotherLengthAreLeftOut) {
  const WeightsMatch match =
      MatchWeights({{"base_model.pos_embed", {1, 81, 64}},
                    {"base_model.blocks.0.attn.qkv.weight", {192, 64}}},
                   {{"pos_embed", F32({1, 197, 64})},
                    {"blocks.0.attn.qkv.weight", F32({192, 64})}},
                   {});
  EXPECT_THAT(Ours(match), ElementsAre("base_model.blocks.0.attn.qkv.weight"));
  EXPECT_THAT(match.unused,
              ElementsAre(Pair("pos_embed", HasSubstr("[1, 197, 64]"))));
}

TEST(WeightsMatchTest, OnlyTheFirstConvolutionIsAdapted) {
  const std::vector<NetworkTensor> network = {{"conv1.weight", {8, 3, 7, 7}},
                                              {"conv2.weight", {8, 3, 3, 3}}};
  const WeightsMatch match = MatchWeights(network,
                                          {{"conv1.weight", F32({8, 1, 7, 7})},
                                           {"conv2.weight", F32({8, 1, 3, 3})}},
                                          {});
  EXPECT_THAT(Ours(match), ElementsAre("conv1.weight"));
  EXPECT_TRUE(match.pairs[0].adapt_channels);
}

TEST(WeightsMatchTest, ExcludedNamesAreLeftAloneOnEitherSide) {
  for (const char* excluded :
       {"base_model.bn1.", "bn1.", "module.bn1.", "base_model.bn1.w"}) {
    const WeightsMatch match =
        MatchWeights(Network(), TimmFile("module."), {excluded});
    EXPECT_THAT(match.unused, Contains(Pair("module.bn1.weight", "excluded")))
        << excluded;
    EXPECT_THAT(match.missing, Contains("base_model.bn1.weight"));
  }
}

TEST(WeightsMatchTest, CountersOfBatchesAreOptionalAndDoNotCount) {
  const std::vector<NetworkTensor> network = {
      {"bn1.weight", {1}}, {"bn1.num_batches_tracked", {}, false}};
  const WeightsMatch match =
      MatchWeights(network, {{"bn1.weight", F32({1})}}, {});
  EXPECT_EQ(match.share, 1);
  EXPECT_THAT(match.missing, IsEmpty());
}

TEST(WeightsMatchTest, IntegersAreNoWeights) {
  const WeightsMatch match = MatchWeights(
      {{"fc.weight", {2}}}, {{"fc.weight", {DType::kI8, {2}}}}, {});
  EXPECT_THAT(match.pairs, IsEmpty());
  EXPECT_THAT(match.unused, ElementsAre(Pair("fc.weight", HasSubstr("I8"))));
}

TEST(WeightsMatchTest, DualPathBackboneIsFoundUnderItsDissolvedName) {
  const WeightsMatch match = MatchWeights(
      {{"base_model.features_conv1_1.conv.weight", {10, 1, 3, 3}},
       {"base_model.features_conv2_1.c1x1_w_s1.conv.weight", {80, 10, 1, 1}}},
      {{"features.conv1_1.conv.weight", F32({10, 3, 3, 3})},
       {"features.conv2_1.c1x1_w_s1.conv.weight", F32({80, 10, 1, 1})},
       {"classifier.weight", F32({1000, 832, 1, 1})}},
      {});
  EXPECT_EQ(match.share, 1);
}

TEST(WeightsMatchTest, AnotherArchitectureFitsAlmostNowhere) {
  const WeightsMatch match = MatchWeights(
      Network(),
      {{"lstm.weight_ih_l0", F32({24, 101})}, {"fc.bias", F32({10})}}, {});
  EXPECT_LT(match.share, 0.1);
}

TEST(WeightsMatchTest, AnEmptyFileFitsNowhere) {
  EXPECT_EQ(MatchWeights(Network(), {}, {}).share, 0);
  EXPECT_EQ(MatchWeights({}, TimmFile(""), {}).share, 0);
}

}  // namespace
}  // namespace foldfarm
