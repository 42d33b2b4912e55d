// Predicting on the farm with a bundle in a folder, or what is none.
#ifndef FOLDFARM_COORDINATOR_CLI_PREDICT_BUNDLE_H_
#define FOLDFARM_COORDINATOR_CLI_PREDICT_BUNDLE_H_

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/cli/command_context.h"
#include "coordinator/cli/predict_source.h"

namespace foldfarm {

// Checks the bundle's files against its digests and uploads those that the farm
// does not have. An interrupt ends it with CANCELLED.
// Errors: those of ReadBundle, VerifyBundle and UploadWithProgress;
// INVALID_ARGUMENT for a model that is no ModelSpec; FAILED_PRECONDITION for
// another version of the preparation of samples.
absl::StatusOr<PredictSource> ReadBundleSource(CommandContext& context,
                                               FarmClient& client,
                                               const std::string& directory);

// `name` is a bundle's folder, or else a sweep's id or name.
// Errors: those of ReadBundleSource and ReadSweepSource; NOT_FOUND for a folder
// without a bundle.
absl::StatusOr<PredictSource> ReadPredictSource(CommandContext& context,
                                                FarmClient& client,
                                                const std::string& name);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_PREDICT_BUNDLE_H_
