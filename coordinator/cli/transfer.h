// Files on their way to the farm, with a bar.
#ifndef FOLDFARM_COORDINATOR_CLI_TRANSFER_H_
#define FOLDFARM_COORDINATOR_CLI_TRANSFER_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "coordinator/cli/console.h"
#include "coordinator/cli/farm_client.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

// Stores a file; `digest` is its SHA-256 when the caller knows it, else empty.
// An interrupt (see interrupt.h) ends it with CANCELLED.
// Errors: those of UploadFile; UNAVAILABLE with advice when nobody answers.
absl::StatusOr<v1::ArtifactRef> UploadWithProgress(const Console& console,
                                                   Clock& clock,
                                                   FarmClient& client,
                                                   const std::string& path,
                                                   const std::string& digest);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_TRANSFER_H_
