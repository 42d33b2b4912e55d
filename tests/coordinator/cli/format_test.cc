#include "coordinator/cli/format.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace foldfarm {
namespace {

TEST(HumanDurationTest, ShowsTwoUnitsAtMost) {
  EXPECT_EQ(HumanDuration(absl::ZeroDuration()), "0.00s");
  EXPECT_EQ(HumanDuration(absl::Milliseconds(420)), "0.42s");
  EXPECT_EQ(HumanDuration(absl::Milliseconds(7540)), "7.5s");
  EXPECT_EQ(HumanDuration(absl::Seconds(42)), "42s");
  EXPECT_EQ(HumanDuration(absl::Seconds(192)), "3m 12s");
  EXPECT_EQ(HumanDuration(absl::Minutes(125)), "2h 05m");
  EXPECT_EQ(HumanDuration(absl::Hours(76)), "3d 04h");
}

TEST(HumanDurationTest, RoundsWithoutReachingTheNextUnit) {
  EXPECT_EQ(HumanDuration(absl::Milliseconds(999)), "1.0s");
  EXPECT_EQ(HumanDuration(absl::Milliseconds(9960)), "10s");
  EXPECT_EQ(HumanDuration(absl::Milliseconds(59700)), "1m 00s");
}

TEST(HumanDurationTest, ShowsADashForWhatIsNotKnown) {
  EXPECT_EQ(HumanDuration(absl::InfiniteDuration()), "-");
  EXPECT_EQ(HumanDuration(-absl::Seconds(1)), "-");
}

TEST(FormatBytesTest, UsesPowersOf1024) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes((1 << 20) - 1), "1.0 MiB");
  EXPECT_EQ(FormatBytes(int64_t{5} << 40), "5.0 TiB");
}

TEST(FormatRelativeTest, NamesOneUnitAndItsDirection) {
  const absl::Time now = absl::FromUnixSeconds(1'000'000);
  EXPECT_EQ(FormatRelative(now, now), "now");
  EXPECT_EQ(FormatRelative(now - absl::Seconds(59), now), "59s ago");
  EXPECT_EQ(FormatRelative(now - absl::Minutes(90), now), "1h ago");
  EXPECT_EQ(FormatRelative(now + absl::Minutes(3), now), "in 3m");
  EXPECT_EQ(FormatRelative(absl::UnixEpoch(), now), "-");
}

TEST(FormatNumberTest, ReadsLikePeopleWrite) {
  EXPECT_EQ(FormatScore(0.13124), "0.1312");
  EXPECT_EQ(FormatScore(std::nan("")), "-");
  EXPECT_EQ(FormatSigned(-0.034), "-0.0340");
  EXPECT_EQ(FormatPercent(0.9731), "97.3 %");
  EXPECT_EQ(FormatCount(1234567), "1,234,567");
  EXPECT_EQ(FormatCount(-1000), "-1,000");
  EXPECT_EQ(FormatPlural(1, "job"), "1 job");
  EXPECT_EQ(FormatPlural(104, "job"), "104 jobs");
}

TEST(ShellWordTest, IsOneWordForTheShell) {
  EXPECT_EQ(ShellWord("data/mars-2:a=b,c@d%+_.csv"),
            "data/mars-2:a=b,c@d%+_.csv");
  EXPECT_EQ(ShellWord("my data"), "'my data'");
  EXPECT_EQ(ShellWord("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellWord("$(x)"), "'$(x)'");
  EXPECT_EQ(ShellWord(""), "''");
}

TEST(TruncateTest, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("━━─"), 3u);
  EXPECT_EQ(DisplayWidth("\033[31mfailed\033[0m"), 6u);
  EXPECT_EQ(Truncate("130_gru", 7), "130_gru");
  EXPECT_EQ(Truncate("130_gru", 4), "130…");
  EXPECT_EQ(Truncate("━━━━", 3), "━━…");
  EXPECT_EQ(Truncate("ab", 1), "…");
  EXPECT_EQ(Truncate("ab", 0), "");
}

TEST(FormatMetricTest, HasThreeDigitsFromAThousandOn) {
  EXPECT_EQ(FormatMetric(0), "0");
  EXPECT_EQ(FormatMetric(999), "999");
  EXPECT_EQ(FormatMetric(1000), "1.00 k");
  EXPECT_EQ(FormatMetric(23'440'000), "23.4 M");
  EXPECT_EQ(FormatMetric(999'600), "1.00 M");
  EXPECT_EQ(FormatMetric(104'000'000'000), "104 G");
}

TEST(RoughDurationTest, HasTwoDigitsThatCount) {
  EXPECT_EQ(RoughDuration(absl::Milliseconds(200)), "1s");
  EXPECT_EQ(RoughDuration(absl::Seconds(7)), "7s");
  EXPECT_EQ(RoughDuration(absl::Seconds(23)), "25s");
  EXPECT_EQ(RoughDuration(absl::Seconds(58)), "1m");
  EXPECT_EQ(RoughDuration(absl::Seconds(137)), "2m 30s");
  EXPECT_EQ(RoughDuration(absl::Seconds(725)), "12m");
  EXPECT_EQ(RoughDuration(absl::Minutes(59.9)), "1h");
  EXPECT_EQ(RoughDuration(absl::Minutes(83)), "1h 20m");
  EXPECT_EQ(RoughDuration(absl::Hours(13.7)), "14h");
  EXPECT_EQ(RoughDuration(absl::Hours(52.5)), "2d 04h");
  EXPECT_EQ(RoughDuration(absl::Hours(24 * 40)), "40d");
  EXPECT_EQ(RoughDuration(absl::InfiniteDuration()), "-");
}

TEST(SparklineTest, DrawsTheLowestValueLowestAndTheHighestHighest) {
  EXPECT_EQ(Sparkline({0, 1, 2, 3, 4, 5, 6, 7}, 8), "▁▂▃▄▅▆▇█");
  EXPECT_EQ(Sparkline({7, 0}, 8), "█▁");
}

TEST(SparklineTest, AveragesNeighboursWhenThereAreMoreThanFit) {
  EXPECT_EQ(Sparkline({0, 0, 4, 4, 7, 9}, 3), "▁▅█");
  std::vector<double> many;
  for (int i = 0; i < 1000; ++i) many.push_back(1000 - i);
  EXPECT_EQ(DisplayWidth(Sparkline(many, 24)), 24u);
}

TEST(SparklineTest, CutsOffASteepBeginning) {
  // Scaled to the first value all others would be one bar.
  EXPECT_EQ(Sparkline({9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2}, 8), "██▇▆▅▃▂▁");
}

TEST(SparklineTest, BearsWhatTrainingBrings) {
  const double nan = std::nan("");
  EXPECT_EQ(Sparkline({}, 8), "");
  EXPECT_EQ(Sparkline({0.5}, 0), "");
  EXPECT_EQ(Sparkline({0.5, 0.5, 0.5}, 8), "▁▁▁");
  EXPECT_EQ(Sparkline({nan, 1, nan, 0}, 8), " █ ▁");
  EXPECT_EQ(Sparkline({nan, nan}, 8), "  ");
  EXPECT_EQ(Sparkline({INFINITY, 1, 0}, 8), " █▁");
}

}  // namespace
}  // namespace foldfarm
