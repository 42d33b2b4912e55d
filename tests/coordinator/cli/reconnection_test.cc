#include "coordinator/cli/reconnection.h"

#include "gtest/gtest.h"
#include "tests/testing/fake_clock.h"

namespace foldfarm {
namespace {

TEST(ReconnectionTest, WhoNeverHadAnAnswerDoesNotTryAgain) {
  FakeClock clock;
  Reconnection reconnection(clock);
  EXPECT_FALSE(
      reconnection.ShouldTryAgain(absl::UnavailableError("refused"), false));
}

TEST(ReconnectionTest, TheTimeCountsFromTheLossAndNotFromTheLastNews) {
  FakeClock clock;
  Reconnection reconnection(clock);
  const absl::Status lost = absl::UnavailableError("Socket closed");
  for (int outage = 0; outage < 2; ++outage) {
    // A quiet hour of one stream, then the coordinator restarts.
    clock.Advance(absl::Hours(1));
    EXPECT_TRUE(reconnection.ShouldTryAgain(lost, true));
    clock.Advance(Reconnection::kPatience);
    EXPECT_TRUE(reconnection.ShouldTryAgain(lost, false));
  }
  clock.Advance(absl::Seconds(1));
  EXPECT_FALSE(reconnection.ShouldTryAgain(lost, false));
}

TEST(ReconnectionTest, OnlyALostCoordinatorIsTriedAgain) {
  FakeClock clock;
  Reconnection reconnection(clock);
  EXPECT_FALSE(
      reconnection.ShouldTryAgain(absl::NotFoundError("no sweep"), true));
  EXPECT_FALSE(reconnection.ShouldTryAgain(absl::OkStatus(), true));
}

}  // namespace
}  // namespace foldfarm
