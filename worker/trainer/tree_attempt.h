// "arch: xgboost": an attempt whose model is trees instead of a network.
//
// Images are drawn as for networks, and what each shows becomes a row of a
// table: `draws` rows of every train sample, one of every held-out sample for
// the scores while training, one a draw for the predictions. Checkpoints,
// events and results are a network's.
#ifndef FOLDFARM_WORKER_TRAINER_TREE_ATTEMPT_H_
#define FOLDFARM_WORKER_TRAINER_TREE_ATTEMPT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/base/clock.h"
#include "common/spectra/prepared_dataset.h"
#include "worker/trainer/attempt_spec.h"
#include "worker/trainer/events.h"

namespace foldfarm {

// Runs the attempt in `directory`, as RunAttempt does. Torch's exceptions pass
// through. Errors: INVALID_ARGUMENT for stages, for weights to start from, for
// options that exclude each other, and when built without XGBoost; NOT_FOUND
// for a sample that the dataset lacks; CANCELLED when stopped.
// REQUIRES: spec.arch is XgboostOptions.
absl::Status RunTreeAttempt(const std::string& directory,
                            const AttemptSpec& spec,
                            const PreparedDataset& dataset, EventWriter& events,
                            const std::function<bool()>& stop, Clock& clock);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_TREE_ATTEMPT_H_
