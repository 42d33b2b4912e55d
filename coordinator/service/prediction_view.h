// A finished prediction as the rows that people get.
#ifndef FOLDFARM_COORDINATOR_SERVICE_PREDICTION_VIEW_H_
#define FOLDFARM_COORDINATOR_SERVICE_PREDICTION_VIEW_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "coordinator/store/artifact_files.h"
#include "coordinator/store/store.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// The predictions in pieces: samples in the order asked for, of each a row for
// every number of draws. A share of the samples is in memory at a time. `send`
// says whether the receiver is still there.
//
// Errors: those of ResolveSweep; FAILED_PRECONDITION when the sweep trains, or
// naming jobs that have not succeeded; INVALID_ARGUMENT for a number of draws
// beyond the sweep's and for weights of an unknown model, below 0, not finite
// or all 0.
absl::Status ViewPredictions(
    Store& store, ArtifactFiles& files,
    const v1::GetPredictionsRequest& request,
    absl::FunctionRef<bool(const v1::GetPredictionsResponse&)> send);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_PREDICTION_VIEW_H_
