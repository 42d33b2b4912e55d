#include "common/rpc/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/common/rpc/instant_clock.h"

namespace foldfarm {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// 1 s, 2 s, 4 s, 4 s...
RetryPolicy Policy() {
  return {.backoff = {.initial = absl::Seconds(1),
                      .max = absl::Seconds(4),
                      .multiplier = 2,
                      .jitter = 0}};
}

TEST(CallWithRetryTest, RepeatsAnUnavailableCallAtGrowingDistances) {
  InstantClock clock;
  std::vector<int> seconds;
  const absl::Status status = CallWithRetry(Policy(), clock, [&] {
    seconds.push_back(
        static_cast<int>(absl::ToInt64Milliseconds(clock.Monotonic()) / 1000));
    return seconds.size() < 5 ? absl::UnavailableError("restarting")
                              : absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(seconds, ElementsAre(0, 1, 3, 7, 11));
}

TEST(CallWithRetryTest, AnAnswerIsHandedBackAtOnce) {
  for (const absl::StatusCode code :
       {absl::StatusCode::kAborted, absl::StatusCode::kNotFound,
        absl::StatusCode::kInvalidArgument, absl::StatusCode::kInternal,
        absl::StatusCode::kResourceExhausted}) {
    InstantClock clock;
    int tries = 0;
    const absl::Status status = CallWithRetry(Policy(), clock, [&] {
      ++tries;
      return absl::Status(code, "no");
    });
    EXPECT_EQ(status.code(), code);
    EXPECT_EQ(status.message(), "no");
    EXPECT_EQ(tries, 1);
  }
}

TEST(CallWithRetryTest, OnlyAnIdempotentCallIsRepeatedAfterItsDeadline) {
  RetryPolicy policy = Policy();
  for (const bool idempotent : {true, false}) {
    policy.idempotent = idempotent;
    InstantClock clock;
    int tries = 0;
    const absl::Status status = CallWithRetry(policy, clock, [&] {
      return ++tries < 2 ? absl::DeadlineExceededError("slow")
                         : absl::OkStatus();
    });
    EXPECT_EQ(status.ok(), idempotent);
    EXPECT_EQ(tries, idempotent ? 2 : 1);
  }
}

TEST(CallWithRetryTest, GivesUpInTimeAndSaysHowOftenItTried) {
  RetryPolicy policy = Policy();
  policy.give_up_after = absl::Seconds(10);
  InstantClock clock;
  const absl::Status status = CallWithRetry(
      policy, clock, [] { return absl::UnavailableError("refused"); });
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_EQ(status.message(), "refused (4 tries in 7s)");
}

TEST(CallWithRetryTest, StopsAmidAWaitWhenCancelled) {
  InstantClock clock;
  int tries = 0;
  const absl::Status status = CallWithRetry(
      Policy(), clock,
      [&] {
        ++tries;
        return absl::UnavailableError("refused");
      },
      [&] { return clock.Monotonic() >= absl::Milliseconds(1500); });
  EXPECT_TRUE(absl::IsCancelled(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("refused"));
  EXPECT_EQ(tries, 2);
  EXPECT_LE(clock.Monotonic(), absl::Milliseconds(1600));
}

TEST(CallWithRetryTest, IsNotTriedAtAllOnceCancelled) {
  InstantClock clock;
  const absl::Status status = CallWithRetry(
      Policy(), clock,
      [] {
        ADD_FAILURE() << "called";
        return absl::OkStatus();
      },
      [] { return true; });
  EXPECT_TRUE(absl::IsCancelled(status));
}

TEST(CallWithRetryTest, DifferentSeedsDoNotComeBackInStep) {
  RetryPolicy policy = Policy();
  policy.backoff.jitter = 0.2;
  std::vector<absl::Duration> ends;
  for (const uint32_t seed : {1u, 2u, 1u}) {
    policy.jitter_seed = seed;
    InstantClock clock;
    int tries = 0;
    (void)CallWithRetry(policy, clock, [&] {
      return ++tries < 4 ? absl::UnavailableError("") : absl::OkStatus();
    });
    ends.push_back(clock.Monotonic());
  }
  EXPECT_EQ(ends[0], ends[2]);
  EXPECT_NE(ends[0], ends[1]);
}

}  // namespace
}  // namespace foldfarm
