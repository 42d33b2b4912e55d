#include "coordinator/cli/format.h"

#include <cmath>

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

}  // namespace
}  // namespace foldfarm
