// What `status` says of a sweep: how far, how good, what is wrong, when it is
// done.
//
// StatusText is pure; both are thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_STATUS_TEXT_H_
#define FOLDFARM_COORDINATOR_CLI_STATUS_TEXT_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/cli/farm_client.h"
#include "coordinator/cli/sweep_history.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

struct StatusInput {
  v1::Sweep sweep;
  v1::ListJobsResponse jobs;
  // What is absent could not be had, and is left out.
  SweepHistory history;
  std::optional<v1::ListWorkersResponse> workers;
  std::optional<v1::GetEnsembleResponse> ensemble;
};

// Asks for all that there is to say of `sweep`, which the coordinator just
// named; metrics of a bounded number of jobs. Errors: those of ListJobs;
// CANCELLED after an interrupt.
absl::StatusOr<StatusInput> GatherStatus(FarmClient& client, v1::Sweep sweep);

// `width` 0: unlimited. Times of day are those of `zone`.
std::string StatusText(const StatusInput& input, absl::Time now,
                       absl::TimeZone zone, size_t width, bool colour);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_STATUS_TEXT_H_
