// What the end of an attempt means for its job.
//
// PREEMPTED never counts, LOST counts towards `crash_limit`, FAILED towards
// `max_attempts`; a wrong configuration ends the job at once; who ran out of
// memory gets twice the slots; a cancelled job is never tried again. What
// failed by the worker's fault does not count and goes to another at once.
//
// Pure functions; chance comes in as a number.
#ifndef FOLDFARM_COORDINATOR_QUEUE_RETRY_POLICY_H_
#define FOLDFARM_COORDINATOR_QUEUE_RETRY_POLICY_H_

#include <string>

#include "absl/time/time.h"
#include "common/base/backoff.h"
#include "coordinator/queue/job_state.h"
#include "foldfarm/v1/job.pb.h"
#include "foldfarm/v1/worker.pb.h"

namespace foldfarm {

struct RetryOptions {
  // Attempts that may fail before the job does.
  int max_attempts = 3;
  // Attempts that may be lost (the worker died) before the job fails.
  int crash_limit = 3;
  // Between an attempt that failed and the next.
  BackoffPolicy backoff;
};

// How an attempt ended.
struct AttemptEnd {
  // SUCCEEDED, FAILED, LOST, PREEMPTED or CANCELLED.
  v1::Attempt::State state = v1::Attempt::FAILED;
  v1::FailureKind kind = v1::FAILURE_KIND_UNSPECIFIED;
  std::string error;
};

// What is known of the job when it ends.
struct JobFacts {
  int failed_count = 0;
  int lost_count = 0;
  int slots = 1;
  bool cancel_requested = false;
  // Slots of the largest worker there is.
  int most_slots = 1;
  // Uniform in [0, 1): jitter of the backoff.
  double random = 0.5;
};

struct Verdict {
  JobEvent event = JobEvent::kGiveBack;
  int failed_count = 0;
  int lost_count = 0;
  int slots = 1;
  // Before the next attempt; zero: at once.
  absl::Duration delay = absl::ZeroDuration();
  // For people; empty when there is nothing to say.
  std::string error;
};

Verdict Judge(const RetryOptions& options, const JobFacts& job,
              const AttemptEnd& end);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_RETRY_POLICY_H_
