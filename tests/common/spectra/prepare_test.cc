// Preparation of one sample: against the recipe's own figures on real samples,
// and rule by rule on made ones.
#include "common/spectra/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "common/base/json_text.h"
#include "tests/common/spectra/test_files.h"

namespace foldfarm {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Relative, for figures that must agree to the last places.
void ExpectSame(double got, double expected) {
  EXPECT_NEAR(got, expected, 1e-9 * std::fabs(expected));
}

void CompareCurve(const nlohmann::json& expected, const MzCurve& curve,
                  bool chaotic) {
  ASSERT_EQ(curve.abundance.size(), expected["rows"].get<size_t>());
  ExpectSame(curve.temperature.front(), expected["first_temp"]);
  ExpectSame(curve.temperature.back(), expected["last_temp"]);
  ExpectSame(
      std::accumulate(curve.abundance.begin(), curve.abundance.end(), 0.0),
      expected["abundance_sum"]);
  ExpectSame(*std::max_element(curve.abundance.begin(), curve.abundance.end()),
             expected["abundance_max"]);
  double above = 0;
  for (size_t i = 0; i < curve.abundance.size(); ++i) {
    above += curve.abundance[i] - curve.baseline[i];
  }
  for (size_t q = 0; q < kNumOffsets; ++q) {
    ExpectSame(curve.quantiles[q], expected["q"][q]);
    if (chaotic) continue;
    EXPECT_NEAR(curve.quantiles_baseline[q], expected["q_bg"][q].get<double>(),
                1e-4);
  }
  if (!chaotic) {
    // The tolerance holds for a reading; this is the sum of many.
    EXPECT_NEAR(above, expected["sub_bg_sum"].get<double>(),
                2e-4 * static_cast<double>(curve.abundance.size()));
  }
}

TEST(PrepareTest, EqualsTheRecipeOnRealSamples) {
  const std::string golden = SharedFile("golden/prepared_and_rendered.json");
  const auto text = ReadFile(golden);
  if (!text.ok()) GTEST_SKIP() << golden << " is absent";
  const nlohmann::json document = ParseJson(*text);
  std::vector<std::string> ids;
  for (const auto& p : document["prepared"]) ids.push_back(p["sample_id"]);
  ScratchFolder scratch;
  const auto folder = RealTrainFeatures(ids, scratch);
  if (!folder.ok()) GTEST_SKIP() << folder.status().message();
  // Where rounding decides how the iteration ends. S0028's helium is the
  // mildest (2e-4): in extended precision it ends where ours does.
  const std::set<std::pair<std::string, int>> chaotic = {
      {"S0000", 17}, {"S0000", 18}, {"S0028", 4}, {"S0754", 18}};
  std::map<std::string, PreparedSample> samples;
  for (const auto& expected : document["prepared"]) {
    const std::string id = expected["sample_id"];
    SCOPED_TRACE(id);
    const std::string path = JoinPath(*folder, "train_features/" + id + ".csv");
    const auto csv = ReadFile(path);
    ASSERT_TRUE(csv.ok()) << csv.status();
    const auto readings = ParseFeatures(*csv, path);
    ASSERT_TRUE(readings.ok()) << readings.status();
    const bool sam = id == "S0754" || id == "S0765";
    const auto sample = PrepareSample(
        *readings, sam ? Instrument::kSamTestbed : Instrument::kCommercial);
    ASSERT_TRUE(sample.ok()) << sample.status();
    EXPECT_EQ(sample->binned, sam);
    EXPECT_EQ(sample->curves.size(), expected["mz"].get<size_t>());
    size_t rows = 0;
    for (const MzCurve& curve : sample->curves) {
      SCOPED_TRACE(curve.mz);
      rows += curve.abundance.size();
      const auto it = expected.find("mz" + std::to_string(curve.mz));
      if (it != expected.end()) {
        CompareCurve(*it, curve, chaotic.count({id, curve.mz}) > 0);
      }
    }
    EXPECT_EQ(rows, expected["rows"].get<size_t>());
    samples[id] = *sample;
  }
  for (const auto& render : document["renders"]) {
    const std::string id = render["sample_id"];
    SCOPED_TRACE(id);
    const std::vector<double>& temperature = samples[id].temperature;
    EXPECT_EQ(temperature.size(), render["scans"].get<size_t>());
    for (const auto& [column, candidates] : render["candidates"].items()) {
      for (const auto& candidate : candidates) {
        // There, scan 0 is the sample's second.
        const size_t scan = candidate[0].get<size_t>() + 1;
        ASSERT_LT(scan, temperature.size());
        ExpectSame(temperature[scan], candidate[1]);
      }
    }
  }
}

// A commercial sample: m/z 10 and 20 in every scan, 10 C apart from 30 C on.
Readings TwoMz(int scans) {
  Readings r;
  for (int i = 0; i < scans; ++i) {
    for (const double mz : {10.0, 20.0}) {
      r.time.push_back(i);
      r.temperature.push_back(30 + 10 * i);
      r.mz.push_back(mz);
      r.abundance.push_back(mz * (i + 1));
    }
  }
  return r;
}

void Append(Readings& r, double time, double temperature, double mz,
            double abundance) {
  r.time.push_back(time);
  r.temperature.push_back(temperature);
  r.mz.push_back(mz);
  r.abundance.push_back(abundance);
}

PreparedSample Prepare(const Readings& readings, Instrument instrument) {
  const auto sample = PrepareSample(readings, instrument);
  EXPECT_TRUE(sample.ok()) << sample.status();
  return sample.ok() ? *sample : PreparedSample();
}

TEST(PrepareTest, AbundanceIsAShareOfTheLargest) {
  const auto sample = Prepare(TwoMz(5), Instrument::kCommercial);
  EXPECT_THAT(sample.temperature, ElementsAre(30, 40, 50, 60, 70));
  ASSERT_EQ(sample.curves.size(), 2u);
  EXPECT_EQ(sample.curves[0].mz, 10);
  EXPECT_THAT(sample.curves[0].abundance,
              ElementsAre(0.1, 0.2, DoubleNear(0.3, 1e-12), 0.4, 0.5));
  EXPECT_EQ(sample.curves[1].abundance.back(), 1.0);
}

TEST(PrepareTest, ReadingsOutsideTheRangesAreLeftOut) {
  Readings r;
  Append(r, 0, 28.0, 10, 1000);  // Too cold.
  Append(r, 0, 28.0, 20, 1000);
  const Readings inside = TwoMz(5);
  for (size_t i = 0; i < inside.size(); ++i) {
    Append(r, inside.time[i] + 1, inside.temperature[i], inside.mz[i],
           inside.abundance[i]);
  }
  Append(r, 9, 80, 9.5, 1000);   // Between two m/z.
  Append(r, 9, 80, 99.9, 1000);  // Rounds to 100.
  Append(r, 9, 80, 120, 1000);
  Append(r, 10, 1000.0, 10, 1000);  // Too hot.
  const auto sample = Prepare(r, Instrument::kCommercial);
  EXPECT_THAT(sample.temperature, ElementsAre(30, 40, 50, 60, 70));
  EXPECT_EQ(sample.curves.size(), 2u);
  EXPECT_EQ(sample.curves[1].abundance.back(), 1.0);
}

TEST(PrepareTest, FractionalMzCountForTheNearestRow) {
  Readings r = TwoMz(5);
  for (int i = 0; i < 5; ++i) Append(r, 10 + i, 80 + 10 * i, 9.8, 1);
  for (int i = 0; i < 5; ++i) Append(r, 20 + i, 130 + 10 * i, 20.2, 1);
  const auto sample = Prepare(r, Instrument::kSamTestbed);
  ASSERT_EQ(sample.curves.size(), 2u);
  EXPECT_EQ(sample.curves[0].temperature.back(), 122);
  EXPECT_EQ(sample.curves[1].temperature.back(), 170);
}

TEST(PrepareTest, AnMzWithFewerThanFourBinsIsSkipped) {
  Readings r = TwoMz(5);
  Append(r, 10, 80, 30, 1);
  Append(r, 10, 91, 30, 1);  // Bins 20 to 22.
  const auto sample = Prepare(r, Instrument::kCommercial);
  EXPECT_EQ(sample.curves.size(), 2u);
  // Its scan goes with it.
  EXPECT_THAT(sample.temperature, ElementsAre(30, 40, 50, 60, 70));
}

TEST(PrepareTest, SamReadingsAreAveragedOverBinsAndGapsFilled) {
  Readings r;
  Append(r, 0, -1, 5, 77);
  Append(r, 1, 33, 5, 1);  // Bin 8: centre 34.
  Append(r, 2, 35, 5, 3);
  Append(r, 3, 38, 5, 4);  // Bin 9.
  Append(r, 4, 53, 5, 8);  // Bin 13; 10 to 12 are gaps.
  Append(r, 5, 58, 6, 1);  // m/z 6 begins in bin 14.
  Append(r, 6, 70, 6, 1);
  const auto sample = Prepare(r, Instrument::kSamTestbed);
  EXPECT_TRUE(sample.binned);
  ASSERT_EQ(sample.curves.size(), 2u);
  EXPECT_THAT(sample.curves[0].abundance,
              ElementsAre(0.25, 0.5, 0.625, 0.75, 0.875, 1.0));
  EXPECT_THAT(sample.curves[0].temperature,
              ElementsAre(34, 38, 42, 46, 50, 54));
  EXPECT_THAT(sample.temperature,
              ElementsAre(34, 38, 42, 46, 50, 54, 58, 62, 66, 70));
  EXPECT_THAT(sample.curves[1].scan, ElementsAre(6, 7, 8, 9));
}

TEST(PrepareTest, CommercialReadingsThatComeOneByOneAreBinned) {
  Readings r;
  for (int i = 0; i < 100; ++i) Append(r, i, 30 + i, i % 2 + 5, 1 + i);
  const auto sample = Prepare(r, Instrument::kCommercial);
  EXPECT_TRUE(sample.binned);
  EXPECT_EQ(sample.temperature.size(), 26u);
}

TEST(PrepareTest, ACurveThatIsZeroThroughoutHasTheBaselineZero) {
  Readings r = TwoMz(20);
  for (size_t i = 0; i < r.size(); i += 2) r.abundance[i] = 0;
  const auto sample = Prepare(r, Instrument::kCommercial);
  EXPECT_TRUE(sample.curves[0].fallback_baseline);
  for (const double b : sample.curves[0].baseline) EXPECT_EQ(b, 0);
  EXPECT_FALSE(sample.curves[1].fallback_baseline);
}

TEST(PrepareTest, NoReadingInRangeIsRefused) {
  Readings r;
  Append(r, 0, 10, 5, 1);
  EXPECT_THAT(
      std::string(PrepareSample(r, Instrument::kCommercial).status().message()),
      HasSubstr("none of 1 readings"));
}

TEST(PrepareTest, AbundancesThatAreNeverPositiveAreRefused) {
  Readings r = TwoMz(5);
  for (double& a : r.abundance) a = -a;
  EXPECT_THAT(
      std::string(PrepareSample(r, Instrument::kCommercial).status().message()),
      HasSubstr("the largest abundance is -10, expected more than 0"));
}

TEST(PrepareTest, AnAbundanceThatSinglePrecisionCannotHoldIsRefused) {
  for (const Instrument instrument :
       {Instrument::kCommercial, Instrument::kSamTestbed}) {
    Readings r = TwoMz(5);
    r.abundance[3] = -1e300;  // m/z 20, of the second scan.
    EXPECT_THAT(std::string(PrepareSample(r, instrument).status().message()),
                HasSubstr("m/z 20 at 40 C: abundance is -1e+300, -1e+298 times "
                          "the sample's largest, 100, expected at most 1e+30"));
    for (double& a : r.abundance) a = a < 0 ? a : 1e-300;
    EXPECT_THAT(std::string(PrepareSample(r, instrument).status().message()),
                HasSubstr("abundance is -1e+300, -inf times the sample's "
                          "largest, 1e-300"));
    // What is taken stays finite.
    r = TwoMz(5);
    r.abundance[3] = -9e31;
    const SampleTensors t = ToTensors(Prepare(r, instrument));
    for (const auto* values :
         {&t.abundance, &t.baseline, &t.offsets, &t.offsets_baseline}) {
      for (const float value : *values) EXPECT_FALSE(std::isinf(value));
    }
  }
}

TEST(PrepareTest, TensorsHoldNaNWhereThereIsNoReading) {
  Readings r = TwoMz(5);
  Append(r, 4, 70, 10, 7);  // The same scan and m/z again: the last one stays.
  const SampleTensors t = ToTensors(Prepare(r, Instrument::kCommercial));
  ASSERT_EQ(t.abundance.size(), 5u * kNumMz);
  EXPECT_EQ(t.abundance[4 * kNumMz + 10], 0.07f);
  EXPECT_EQ(t.abundance[4 * kNumMz + 20], 1.0f);
  EXPECT_TRUE(std::isnan(t.abundance[11]));
  EXPECT_TRUE(std::isnan(t.baseline[11]));
  EXPECT_FALSE(std::isnan(t.baseline[10]));
  ASSERT_EQ(t.offsets.size(), kNumMz * kNumOffsets);
  EXPECT_TRUE(std::isnan(t.offsets[11 * kNumOffsets]));
  EXPECT_FALSE(std::isnan(t.offsets_baseline[10 * kNumOffsets + 3]));
}

TEST(QuantilesTest, AreNumpysLinearOnes) {
  std::vector<double> values = {5, 1, 4, 2, 3, 11, 7, 8, 10, 9, 6};
  std::array<double, kNumOffsets> q;
  Quantiles(values, {0.001, 0.05, 0.1, 0.25}, q);
  EXPECT_THAT(q, ElementsAre(DoubleNear(1.01, 1e-12), 1.5, 2, 3.5));
  values = {42};
  Quantiles(values, {0.001, 0.05, 0.1, 0.2}, q);
  EXPECT_THAT(q, ElementsAre(42, 42, 42, 42));
}

}  // namespace
}  // namespace foldfarm
