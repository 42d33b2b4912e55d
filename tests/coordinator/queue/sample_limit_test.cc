#include "coordinator/queue/sample_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

// 100 labelled train samples, `sam` of them of the SAM testbed, and 20 others.
std::vector<SampleInfo> Samples(int sam) {
  std::vector<SampleInfo> samples;
  for (int i = 0; i < 120; ++i) {
    samples.push_back({absl::StrCat("S", i), i < 100 ? "train" : "val",
                       i < sam ? "sam_testbed" : "commercial", i < 110});
  }
  return samples;
}

std::set<std::string> Drawn(const std::vector<SampleInfo>& samples) {
  std::set<std::string> ids;
  for (const SampleInfo& sample : samples) {
    if (IsLabelledTrain(sample)) ids.insert(sample.id);
  }
  return ids;
}

std::set<std::string> Draw(int sam, int limit, uint32_t seed = 1) {
  return Drawn(*LimitSamples(Samples(sam), limit, "instrument_type", seed));
}

std::map<std::string, int> Shares(int sam, int limit) {
  std::map<std::string, int> shares;
  const auto limited = LimitSamples(Samples(sam), limit, "instrument_type", 1);
  for (const SampleInfo& sample : *limited) {
    if (IsLabelledTrain(sample)) ++shares[sample.instrument_type];
  }
  return shares;
}

TEST(LimitSamplesTest, EveryInstrumentKeepsItsShare) {
  EXPECT_EQ(Shares(20, 50)["sam_testbed"], 10);
  EXPECT_EQ(Shares(20, 50)["commercial"], 40);
  EXPECT_EQ(Shares(3, 10)["sam_testbed"], 1) << "a rare one stays";
  EXPECT_EQ(Shares(3, 10)["commercial"], 9);
}

TEST(LimitSamplesTest, ALargerLimitAddsToASmallerOne) {
  const std::set<std::string> few = Draw(20, 10);
  const std::set<std::string> many = Draw(20, 30);
  EXPECT_EQ(few.size(), 10u);
  for (const std::string& id : few) EXPECT_EQ(many.count(id), 1u) << id;
}

TEST(LimitSamplesTest, TheSeedDecidesWhichAreDrawn) {
  EXPECT_EQ(Draw(20, 10, 1), Draw(20, 10, 1));
  EXPECT_NE(Draw(20, 10, 1), Draw(20, 10, 2));
}

TEST(LimitSamplesTest, AllAreKeptWhenThereAreNoMore) {
  EXPECT_EQ(Draw(20, 100).size(), 100u);
  EXPECT_EQ(Draw(20, 1000000).size(), 100u);
}

TEST(LimitSamplesTest, AnUnknownColumnIsRefused) {
  const auto limited = LimitSamples(Samples(20), 10, "colour", 1);
  EXPECT_EQ(limited.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(limited.status().message()),
              testing::HasSubstr("no column \"colour\""));
}

}  // namespace
}  // namespace foldfarm
