#include "common/base/backoff.h"

#include <gtest/gtest.h>

namespace foldfarm {
namespace {

TEST(BackoffDelayTest, DoublesUpToItsCap) {
  const BackoffPolicy policy;  // 5 s to 5 min.
  EXPECT_EQ(BackoffDelay(policy, 1, 0.5), absl::Seconds(5));
  EXPECT_EQ(BackoffDelay(policy, 2, 0.5), absl::Seconds(10));
  EXPECT_EQ(BackoffDelay(policy, 6, 0.5), absl::Seconds(160));
  EXPECT_EQ(BackoffDelay(policy, 7, 0.5), absl::Minutes(5));
  EXPECT_EQ(BackoffDelay(policy, 1'000'000'000, 0.5), absl::Minutes(5));
}

TEST(BackoffDelayTest, JitterSpreadsBothWays) {
  BackoffPolicy policy;
  policy.jitter = 0.2;
  EXPECT_EQ(BackoffDelay(policy, 1, 0.0), absl::Seconds(4));
  EXPECT_LT(BackoffDelay(policy, 1, 0.999), absl::Seconds(6));
  EXPECT_GT(BackoffDelay(policy, 1, 0.999), absl::Seconds(5.9));
}

}  // namespace
}  // namespace foldfarm
