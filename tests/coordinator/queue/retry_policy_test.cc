#include "coordinator/queue/retry_policy.h"

#include <gtest/gtest.h>

namespace foldfarm {
namespace {

using Attempt = v1::Attempt;

AttemptEnd End(Attempt::State state,
               v1::FailureKind kind = v1::FAILURE_KIND_RETRYABLE) {
  return {.state = state, .kind = kind, .error = "because"};
}

TEST(RetryPolicyTest, ASuccessSucceeds) {
  const Verdict verdict = Judge({}, {}, End(Attempt::SUCCEEDED));
  EXPECT_EQ(verdict.event, JobEvent::kSucceed);
  EXPECT_EQ(verdict.error, "");
}

TEST(RetryPolicyTest, TheThirdFailureIsTheLast) {
  JobFacts job;
  for (int failed = 0; failed < 2; ++failed) {
    job.failed_count = failed;
    const Verdict verdict = Judge({}, job, End(Attempt::FAILED));
    EXPECT_EQ(verdict.event, JobEvent::kGiveBack);
    EXPECT_EQ(verdict.failed_count, failed + 1);
  }
  job.failed_count = 2;
  const Verdict verdict = Judge({}, job, End(Attempt::FAILED));
  EXPECT_EQ(verdict.event, JobEvent::kGiveUp);
  EXPECT_EQ(verdict.error, "failed 3 times, last: because");
}

TEST(RetryPolicyTest, WaitsTwiceAsLongAfterEachFailureUpToFiveMinutes) {
  RetryOptions options;
  options.max_attempts = 100;
  options.backoff.jitter = 0;
  JobFacts job;
  EXPECT_EQ(Judge(options, job, End(Attempt::FAILED)).delay, absl::Seconds(5));
  job.failed_count = 1;
  EXPECT_EQ(Judge(options, job, End(Attempt::FAILED)).delay, absl::Seconds(10));
  job.failed_count = 50;
  EXPECT_EQ(Judge(options, job, End(Attempt::FAILED)).delay, absl::Minutes(5));
}

TEST(RetryPolicyTest, JitterMovesTheWaitByATenth) {
  JobFacts job;
  job.random = 0;
  EXPECT_EQ(Judge({}, job, End(Attempt::FAILED)).delay, absl::Seconds(4.5));
  job.random = 0.5;
  EXPECT_EQ(Judge({}, job, End(Attempt::FAILED)).delay, absl::Seconds(5));
}

TEST(RetryPolicyTest, AWrongConfigurationIsNeverTriedAgain) {
  const Verdict verdict =
      Judge({}, {}, End(Attempt::FAILED, v1::FAILURE_KIND_PERMANENT));
  EXPECT_EQ(verdict.event, JobEvent::kGiveUp);
  EXPECT_EQ(verdict.error, "because");
}

TEST(RetryPolicyTest, WhoRanOutOfMemoryGetsTwiceTheSlots) {
  JobFacts job;
  job.slots = 2;
  job.most_slots = 8;
  const Verdict verdict =
      Judge({}, job, End(Attempt::FAILED, v1::FAILURE_KIND_OUT_OF_MEMORY));
  EXPECT_EQ(verdict.event, JobEvent::kGiveBack);
  EXPECT_EQ(verdict.slots, 4);
}

TEST(RetryPolicyTest, NoJobAsksForMoreSlotsThanAnyWorkerHas) {
  JobFacts job;
  job.slots = 2;
  job.most_slots = 3;
  EXPECT_EQ(Judge({}, job, End(Attempt::FAILED, v1::FAILURE_KIND_OUT_OF_MEMORY))
                .slots,
            3);
  job.slots = 4;
  EXPECT_EQ(Judge({}, job, End(Attempt::FAILED, v1::FAILURE_KIND_OUT_OF_MEMORY))
                .slots,
            4);
}

TEST(RetryPolicyTest, ThreeLostWorkersEndAJobAndTwoDoNot) {
  JobFacts job;
  job.failed_count = 2;
  job.lost_count = 1;
  const Verdict again = Judge({}, job, End(Attempt::LOST));
  EXPECT_EQ(again.event, JobEvent::kGiveBack);
  EXPECT_EQ(again.delay, absl::ZeroDuration());
  EXPECT_EQ(again.failed_count, 2);
  job.lost_count = 2;
  EXPECT_EQ(Judge({}, job, End(Attempt::LOST)).event, JobEvent::kGiveUp);
}

TEST(RetryPolicyTest, APreemptionNeverCounts) {
  JobFacts job;
  job.failed_count = 2;
  job.lost_count = 2;
  const Verdict verdict = Judge({}, job, End(Attempt::PREEMPTED));
  EXPECT_EQ(verdict.event, JobEvent::kGiveBack);
  EXPECT_EQ(verdict.failed_count, 2);
  EXPECT_EQ(verdict.lost_count, 2);
  EXPECT_EQ(verdict.delay, absl::ZeroDuration());
}

TEST(RetryPolicyTest, ACancelledJobIsNotTriedAgainHoweverItEnds) {
  JobFacts job;
  job.cancel_requested = true;
  for (const Attempt::State state : {Attempt::FAILED, Attempt::LOST,
                                     Attempt::PREEMPTED, Attempt::CANCELLED}) {
    EXPECT_EQ(Judge({}, job, End(state)).event, JobEvent::kCancel);
  }
  EXPECT_EQ(Judge({}, job, End(Attempt::SUCCEEDED)).event, JobEvent::kSucceed);
}

}  // namespace
}  // namespace foldfarm
