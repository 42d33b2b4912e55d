// How long a sweep will take, from what its finished epochs took.
//
// Pure; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_ETA_H_
#define FOLDFARM_COORDINATOR_CLI_ETA_H_

#include <map>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

struct Estimate {
  // Until all jobs are final; infinite when nothing is known.
  absl::Duration sweep = absl::InfiniteDuration();
  // Of running jobs, by name; those without an estimate are absent.
  std::map<std::string, absl::Duration> jobs;
};

// An epoch of a job takes what its own epochs took, else those of its model's
// other folds, else those of all models. Waiting jobs start, in their order,
// wherever a running one ends first: as many run at a time as run now.
Estimate EstimateRemaining(absl::Span<const v1::Job> jobs);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_ETA_H_
