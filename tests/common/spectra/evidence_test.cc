#include "common/spectra/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/spectra/ions.h"
#include "common/spectra/sample_check.h"

namespace foldfarm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(EvidenceTest, PeaksComeByHeightWithTheirFlanksAndShares) {
  // Row 1: two peaks, 4 and 2, apart; row 2: one of 1; row 0: against.
  const std::vector<float> map = {0, 0, -3, 0, 0, 0, 0, 0,  //
                                  0, 1, 4,  2, 0, 0, 2, 0,  //
                                  0, 0, 0,  0, 1, 0, 0, 0};
  const std::vector<EvidencePeak> peaks = FindEvidence(map, 8, 10);
  ASSERT_EQ(peaks.size(), 3u);
  EXPECT_EQ(peaks[0].mz, 1);
  EXPECT_EQ(peaks[0].column, 2);
  EXPECT_EQ(peaks[0].first_column, 2);
  EXPECT_EQ(peaks[0].last_column, 3);
  EXPECT_DOUBLE_EQ(peaks[0].log_odds, 4);
  EXPECT_DOUBLE_EQ(peaks[0].share, 0.7);
  EXPECT_EQ(peaks[1].column, 6);
  EXPECT_DOUBLE_EQ(peaks[1].share, 0.2);
  EXPECT_EQ(peaks[2].mz, 2);
  EXPECT_EQ(FindEvidence(map, 8, 1).size(), 1u);
}

TEST(EvidenceTest, WhereNothingSpeaksForItThereAreNoPeaks) {
  EXPECT_THAT(FindEvidence({0, -1, 0, -2}, 2, 5), IsEmpty());
}

TEST(EvidenceTest, WhatIsTinyBesideTheHighestIsLeftOut) {
  EXPECT_EQ(FindEvidence({10, 0, 0.1f, 0}, 2, 5).size(), 1u);
}

TEST(IonsTest, UsualGasesHaveTheirNames) {
  EXPECT_EQ(IonName(2), "H2");
  EXPECT_EQ(IonName(18), "H2O");
  EXPECT_EQ(IonName(44), "CO2");
  EXPECT_EQ(IonName(64), "SO2");
  EXPECT_EQ(IonName(76), "CS2");
  EXPECT_EQ(IonName(71), "");
  EXPECT_EQ(FindIon(71), nullptr);
  ASSERT_NE(FindIon(44), nullptr);
  EXPECT_THAT(std::string(FindIon(44)->meaning), HasSubstr("carbonate"));
  int before = 0;
  for (const Ion& ion : Ions()) {
    EXPECT_GT(ion.mz, before);
    before = ion.mz;
  }
}

// A sample with a scan every 4 degrees between two temperatures.
std::vector<double> Scans(double from, double to) {
  std::vector<double> temperature;
  for (double t = from; t <= to; t += 4) temperature.push_back(t);
  return temperature;
}

ReadingSummary Usual() {
  return {.readings = 1000,
          .lowest = 30,
          .highest = 990,
          .num_mz = 100,
          .scans = 240};
}

TEST(SampleCheckTest, AFullSampleHasNoWarnings) {
  EXPECT_THAT(SampleWarnings(Usual(), Scans(29, 990), {}), IsEmpty());
  EXPECT_EQ(EmptyColumns(Scans(29, 990), {}), 0);
}

TEST(SampleCheckTest, ASampleThatEndsEarlySaysHowMuchIsMissing) {
  ReadingSummary summary = Usual();
  summary.highest = 490;
  const std::vector<std::string> warnings =
      SampleWarnings(summary, Scans(29, 490), {});
  EXPECT_THAT(warnings,
              ElementsAre("its readings span 30 to 490 °C, the models look at "
                          "30 to 978 °C: 50 % of what they look at is empty"));
}

TEST(SampleCheckTest, FewScansFewIonsAndReadingsLeftOutAreSaid) {
  ReadingSummary summary = Usual();
  summary.scans = 12;
  summary.num_mz = 7;
  summary.between = 120;
  summary.cold = 600;
  EXPECT_THAT(SampleWarnings(summary, Scans(29, 990), {}),
              ElementsAre(HasSubstr("12 scans"), HasSubstr("7 m/z"),
                          HasSubstr("12 % of its readings have an m/z"),
                          HasSubstr("60 % of its readings were taken at")));
}

TEST(SampleCheckTest, AnImportWarnsOfFewScansAndReadingsThatRepeat) {
  ReadingSummary summary = Usual();
  EXPECT_THAT(ImportWarnings(summary, Scans(29, 990)), IsEmpty());
  summary.scans = 2;
  summary.repeated = 970;
  EXPECT_THAT(
      ImportWarnings(summary, Scans(29, 33)),
      ElementsAre(HasSubstr("2 scans, expected at least 30: models see nothing "
                            "of it"),
                  HasSubstr("97 % of its readings have the time and the m/z of "
                            "another one")));
}

TEST(SampleCheckTest, AnImportKnowsNoModelsAndWarnsOnlyWhenNearlyAllIsEmpty) {
  ReadingSummary summary = Usual();
  summary.highest = 490;
  EXPECT_THAT(ImportWarnings(summary, Scans(29, 490)), IsEmpty());
  summary.highest = 130;
  EXPECT_THAT(ImportWarnings(summary, Scans(29, 130)),
              ElementsAre(HasSubstr("30 to 130 °C")));
}

TEST(SampleCheckTest, OnlyASampleThatIsNearlyAllFlatIsSaid) {
  ReadingSummary summary = Usual();
  summary.flat_mz = 90;
  EXPECT_THAT(SampleWarnings(summary, Scans(29, 990), {}), IsEmpty());
  summary.flat_mz = 99;
  EXPECT_THAT(SampleWarnings(summary, Scans(29, 990), {}),
              ElementsAre("the abundance of 99 of its 100 m/z never rises: "
                          "models see little of it"));
  summary.flat_mz = 100;
  EXPECT_THAT(ImportWarnings(summary, Scans(29, 990)),
              ElementsAre("the abundance of 100 of its 100 m/z never rises: "
                          "models see nothing of it"));
}

TEST(SampleCheckTest, AnMzIsFlatThatNeverRisesInTheScansThatAreShown) {
  Readings readings;
  const auto add = [&](int scan, double mz, double abundance) {
    readings.time.push_back(scan);
    readings.temperature.push_back(100 + 4 * scan);
    readings.mz.push_back(mz);
    readings.abundance.push_back(abundance);
  };
  for (int scan = 0; scan < 40; ++scan) {
    add(scan, 2, 0);
    add(scan, 4, 0.7 + 1e-4 * (scan % 3));
    add(scan, 18, 1 + scan);
    add(scan, 28, 1.0 / 3);
    add(scan, 44, scan == 0 ? 9 : 3);
    add(scan, 64, scan == 20 ? 1 : 2);
  }
  for (const Instrument instrument :
       {Instrument::kCommercial, Instrument::kSamTestbed}) {
    const auto sample = PrepareSample(readings, instrument);
    ASSERT_TRUE(sample.ok()) << sample.status();
    const ReadingSummary summary = SummarizeReadings(readings, *sample);
    EXPECT_EQ(summary.num_mz, 6);
    EXPECT_EQ(summary.flat_mz, 3) << "m/z 2, 28 and 44";
  }
  // Beside a reading beyond all measure, m/z 18 at 180 C, nothing is left of
  // the others in single precision.
  readings.abundance[20 * 6 + 2] = 1e300;
  const auto sample = PrepareSample(readings, Instrument::kCommercial);
  ASSERT_TRUE(sample.ok()) << sample.status();
  EXPECT_EQ(SummarizeReadings(readings, *sample).flat_mz, 5);
}

TEST(SampleCheckTest, SummariesCountWhatPreparationLeavesOut) {
  Readings readings;
  const auto add = [&](double temperature, double mz) {
    readings.time.push_back(static_cast<double>(readings.size()));
    readings.temperature.push_back(temperature);
    readings.mz.push_back(mz);
    readings.abundance.push_back(1 + static_cast<double>(readings.size()));
  };
  for (int i = 0; i < 40; ++i) add(100 + 4 * i, 18);
  add(28, 18);
  add(-5, 18);
  add(1000, 18);
  add(300, 18.5);
  add(300, -1);
  const auto sample = PrepareSample(readings, Instrument::kCommercial);
  ASSERT_TRUE(sample.ok()) << sample.status();
  const ReadingSummary summary = SummarizeReadings(readings, *sample);
  EXPECT_EQ(summary.readings, 45);
  EXPECT_EQ(summary.cold, 2);
  EXPECT_EQ(summary.hot, 1);
  EXPECT_EQ(summary.between, 2);
  EXPECT_EQ(summary.lowest, -5);
  EXPECT_EQ(summary.highest, 1000);
  EXPECT_EQ(summary.num_mz, 1);
}

}  // namespace
}  // namespace foldfarm
