// A sweep's stored out-of-fold predictions as an ensemble.
#ifndef FOLDFARM_COORDINATOR_SERVICE_ENSEMBLE_VIEW_H_
#define FOLDFARM_COORDINATOR_SERVICE_ENSEMBLE_VIEW_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "coordinator/service/ensemble_cache.h"
#include "coordinator/store/artifact_files.h"
#include "coordinator/store/store.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// The analysis of the models that are complete on all folds; of equal results
// it is computed once and kept in `cache`.
// Errors: those of ResolveSweep. No complete model is no error: `models` is
// empty then.
absl::Status ViewEnsemble(Store& store, ArtifactFiles& files,
                          EnsembleCache& cache,
                          const v1::GetEnsembleRequest& request,
                          v1::GetEnsembleResponse& response);

// The OOF table in pieces; `send` says whether the receiver is still there.
absl::Status ViewOof(Store& store, ArtifactFiles& files,
                     const std::string& sweep,
                     absl::FunctionRef<bool(const v1::GetOofResponse&)> send);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_ENSEMBLE_VIEW_H_
