// A sweep's results as files get them: the out-of-fold (OOF) table and metrics.
//
// Functions are thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_RESULTS_H_
#define FOLDFARM_COORDINATOR_CLI_RESULTS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/cli/farm_client.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// Writes the OOF table of a sweep's complete models as CSV, whole or not at
// all. Returns the number of samples. Errors: FAILED_PRECONDITION when no model
// is complete; those of GetOof and of writing.
absl::StatusOr<int64_t> WriteOof(FarmClient& client, const std::string& sweep,
                                 const std::string& path);

// Writes the epochs of all of a sweep's jobs as CSV. Returns the number of jobs
// that have any.
absl::StatusOr<int64_t> WriteMetrics(FarmClient& client,
                                     const std::string& sweep,
                                     const std::string& path);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_RESULTS_H_
