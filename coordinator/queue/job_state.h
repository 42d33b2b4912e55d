// The life of a job, as a table and nothing else.
//
//             kGrant            kSucceed
//   PENDING ---------> RUNNING ---------> SUCCEEDED
//      ^  |   kReuse -----|-----------------^ (at submission, from PENDING)
//      |  |  kCancel      |  kGiveUp
//      |  +-------+       +-------------> FAILED
//      |          v       |  kCancel         |
//      |      CANCELLED <-+                  |
//      |          |      kReopen             |
//      +----------+--------------------------+
//      ^                  |
//      +------ kGiveBack -+   (lost, preempted, failed with tries left)
//
// Pure functions: no clock, no store, no lock.
#ifndef FOLDFARM_COORDINATOR_QUEUE_JOB_STATE_H_
#define FOLDFARM_COORDINATOR_QUEUE_JOB_STATE_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

enum class JobEvent {
  // A worker gets a lease.
  kGrant,
  // A result with the same key is there.
  kReuse,
  // A valid result is stored.
  kSucceed,
  // The attempt ended without a result; another may follow.
  kGiveBack,
  // The attempt ended without a result, and it was the last.
  kGiveUp,
  // A person cancelled the job, and no attempt runs (any more).
  kCancel,
  // A person wants the job tried again, or the farm found that it was given up
  // for no fault of its own.
  kReopen,
};

inline constexpr JobEvent kAllJobEvents[] = {
    JobEvent::kGrant,    JobEvent::kReuse,  JobEvent::kSucceed,
    JobEvent::kGiveBack, JobEvent::kGiveUp, JobEvent::kCancel,
    JobEvent::kReopen};

// The state after `event`, or nothing when the table has no such arrow.
std::optional<v1::Job::State> NextJobState(v1::Job::State state,
                                           JobEvent event);

// SUCCEEDED, FAILED and CANCELLED.
bool IsFinal(v1::Job::State state);

// "PENDING" and its kin.
absl::string_view JobStateName(v1::Job::State state);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_JOB_STATE_H_
