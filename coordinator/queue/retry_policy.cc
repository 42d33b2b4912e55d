#include "coordinator/queue/retry_policy.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

Verdict JudgeFailure(const RetryOptions& options, const JobFacts& job,
                     const AttemptEnd& end, Verdict verdict) {
  verdict.failed_count = job.failed_count + 1;
  if (end.kind == v1::FAILURE_KIND_PERMANENT) {
    verdict.event = JobEvent::kGiveUp;
    return verdict;
  }
  if (verdict.failed_count >= options.max_attempts) {
    verdict.event = JobEvent::kGiveUp;
    verdict.error = absl::StrCat("failed ", verdict.failed_count,
                                 " times, last: ", end.error);
    return verdict;
  }
  if (end.kind == v1::FAILURE_KIND_OUT_OF_MEMORY) {
    // As much as the largest worker has: then it runs alone there.
    verdict.slots =
        std::max(job.slots, std::min(2 * job.slots, job.most_slots));
  }
  verdict.delay =
      BackoffDelay(options.backoff, verdict.failed_count, job.random);
  return verdict;
}

}  // namespace

Verdict Judge(const RetryOptions& options, const JobFacts& job,
              const AttemptEnd& end) {
  Verdict verdict;
  verdict.failed_count = job.failed_count;
  verdict.lost_count = job.lost_count;
  verdict.slots = job.slots;
  verdict.error = end.error;
  if (end.state == v1::Attempt::SUCCEEDED) {
    verdict.event = JobEvent::kSucceed;
    verdict.error.clear();
    return verdict;
  }
  if (end.state == v1::Attempt::FAILED && end.kind != v1::FAILURE_KIND_WORKER) {
    verdict = JudgeFailure(options, job, end, verdict);
  } else if (end.state == v1::Attempt::LOST) {
    verdict.lost_count = job.lost_count + 1;
    if (verdict.lost_count >= options.crash_limit) {
      verdict.event = JobEvent::kGiveUp;
      verdict.error = absl::StrCat("lost ", verdict.lost_count,
                                   " times, last: ", end.error);
    }
  }
  if (job.cancel_requested) {
    verdict.event = JobEvent::kCancel;
    verdict.delay = absl::ZeroDuration();
    verdict.error.clear();  // Explains what the farm dropped by itself.
  }
  return verdict;
}

}  // namespace foldfarm
