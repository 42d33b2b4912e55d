#include "coordinator/cli/progress.h"

#include <algorithm>
#include <sstream>

#include "coordinator/cli/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/fake_clock.h"

namespace foldfarm {
namespace {

TEST(ProgressTextTest, SaysRateAndTimeLeft) {
  EXPECT_EQ(ProgressText("Preparing", ProgressUnit::kSamples, 120, 240,
                         absl::Seconds(4), 0, false),
            "Preparing 120/240 samples  30/s  4.0s left");
  EXPECT_EQ(ProgressText("Uploading", ProgressUnit::kBytes, 1 << 20, 1 << 20,
                         absl::Seconds(2), 0, false),
            "Uploading 1.0 MiB of 1.0 MiB  512.0 KiB/s");
}

TEST(ProgressTextTest, ClaimsNoRateAtTheStart) {
  EXPECT_EQ(ProgressText("Preparing", ProgressUnit::kSamples, 1, 240,
                         absl::Milliseconds(10), 0, false),
            "Preparing 1/240 samples");
}

TEST(ProgressTextTest, DrawsABarWhereThereIsRoom) {
  EXPECT_EQ(ProgressText("P", ProgressUnit::kSamples, 1, 2,
                         absl::ZeroDuration(), 24, false),
            "P ━━━━━───── 1/2 samples");
  for (size_t columns = 1; columns < 120; ++columns) {
    EXPECT_LE(
        DisplayWidth(ProgressText("Preparing", ProgressUnit::kSamples, 120, 240,
                                  absl::Seconds(4), columns, true)),
        columns);
  }
}

TEST(ProgressTest, WritesFewLinesWhereNobodyLooks) {
  std::ostringstream err;
  Console console;
  console.err = &err;
  FakeClock clock;
  {
    Progress progress(console, clock, "Preparing", ProgressUnit::kSamples);
    for (int i = 1; i <= 1000; ++i) {  // 10 ms each: 1 s a tenth.
      clock.Advance(absl::Milliseconds(10));
      progress.Update(i, 1000);
    }
  }
  const std::string text = err.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_THAT(text, testing::Not(testing::HasSubstr("\033")));
}

TEST(ProgressTest, SaysSomethingEveryFiveSecondsOfASlowThing) {
  std::ostringstream err;
  Console console;
  console.err = &err;
  FakeClock clock;
  Progress progress(console, clock, "Preparing", ProgressUnit::kSamples);
  for (int i = 1; i <= 20; ++i) {
    clock.Advance(absl::Seconds(1));
    progress.Update(i, 100000);
  }
  const std::string text = err.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 4);
}

}  // namespace
}  // namespace foldfarm
