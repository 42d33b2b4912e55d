#include "common/ensemble/csv.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace foldfarm {
namespace {

TEST(CsvTest, OnlyCellsThatNeedItAreQuoted) {
  EXPECT_EQ(CsvCell("S0001"), "S0001");
  EXPECT_EQ(CsvCell("a,b"), "\"a,b\"");
  EXPECT_EQ(CsvCell("say \"x\""), "\"say \"\"x\"\"\"");
  EXPECT_EQ(CsvCell("two\nlines"), "\"two\nlines\"");
  EXPECT_EQ(CsvCell(""), "");
}

TEST(OofCsvTest, AColumnNamesItsSourceAndLabel) {
  EXPECT_EQ(OofCsvHeader({"basalt", "iron,oxide"}, {"130_gru"}),
            "sample_id,fold,instrument_type,truth:basalt,\"truth:iron,oxide\","
            "ensemble:basalt,\"ensemble:iron,oxide\",130_gru:basalt,"
            "\"130_gru:iron,oxide\"\n");
}

TEST(OofCsvTest, ARowHasSixDecimalsAndWholeTruth) {
  EXPECT_EQ(
      OofCsvRow("S1", 3, "sam_testbed", {1, 0}, {0.25, 1e-9}, {0.1234567, 1}),
      "S1,3,sam_testbed,1,0,0.250000,0.000000,0.123457,1.000000\n");
}

TEST(OofCsvTest, AProbabilityThatNobodyGaveIsAnEmptyCell) {
  const double none = std::nan("");
  EXPECT_EQ(OofCsvRow("S1", 0, "commercial", {1}, {none}, {0.5, none}),
            "S1,0,commercial,1,,0.500000,\n");
}

TEST(SubmissionCsvTest, ProbabilitiesAreShrunkForTheInstrument) {
  EXPECT_EQ(SubmissionCsvHeader({"basalt", "sulfate"}),
            "sample_id,basalt,sulfate\n");
  EXPECT_EQ(SubmissionCsvRow("S1", "commercial", {0, 0.5, 1}),
            "S1,0.002000,0.500000,0.998000\n");
  EXPECT_EQ(SubmissionCsvRow("S2", "sam_testbed", {0, 0.5, 1}),
            "S2,0.010000,0.500000,0.990000\n");
}

}  // namespace
}  // namespace foldfarm
