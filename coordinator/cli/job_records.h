// A sweep's jobs with all that is known of each.
#ifndef FOLDFARM_COORDINATOR_CLI_JOB_RECORDS_H_
#define FOLDFARM_COORDINATOR_CLI_JOB_RECORDS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/farm_client.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

struct JobRecord {
  v1::GetJobResponse details;
  v1::GetMetricsResponse metrics;
  // Those that trained it, oldest first: of a job whose result was taken over,
  // the other job's.
  std::vector<v1::Attempt> attempts;
};

// In the sweep's order. `cancelled` is asked in between, true ends with
// CANCELLED; may be empty. Errors: those of the calls. Thread-safe.
absl::StatusOr<std::vector<JobRecord>> FetchJobRecords(
    FarmClient& client, const std::string& sweep,
    const std::function<bool()>& cancelled);

// How a trainer ended: "signal 9", "exit 70"; "" when it ended well.
std::string AttemptEnd(const v1::Attempt& attempt);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_JOB_RECORDS_H_
