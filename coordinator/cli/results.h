// A sweep's results as people and files get them: the ensemble, the
// out-of-fold (OOF) table and metrics.
//
// Functions are thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_RESULTS_H_
#define FOLDFARM_COORDINATOR_CLI_RESULTS_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/cli/farm_client.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// Models best first, the ensemble, the prior; how the ensemble grows; the log
// loss a label. `width` 0: unlimited.
std::string EnsembleText(const v1::GetEnsembleResponse& reply, size_t width,
                         bool colour);

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
