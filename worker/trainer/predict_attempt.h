// An attempt that does not train: the network in its folder predicts samples.
//
//  1. The folder holds attempt.json with predict_samples, dataset.safetensors
//     and the files of a result under their names there; of these
//     weights.safetensors is read.
//  2. Every sample is drawn `tta` times. A draw depends on the job's seed, the
//     sample and the draw's number alone: the split of the samples into shares
//     changes nothing, and a job's own validation samples get its out-of-fold
//     predictions again.
//  3. predictions.safetensors is written. Nothing is worth a checkpoint.
#ifndef FOLDFARM_WORKER_TRAINER_PREDICT_ATTEMPT_H_
#define FOLDFARM_WORKER_TRAINER_PREDICT_ATTEMPT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/base/clock.h"
#include "common/spectra/prepared_dataset.h"
#include "worker/trainer/attempt_spec.h"
#include "worker/trainer/events.h"

namespace foldfarm {

// Runs the attempt in `directory`, as RunAttempt does. Torch's exceptions pass
// through. Errors: INVALID_ARGUMENT for weights of another model and labels
// that the dataset lacks; NOT_FOUND for a sample that it lacks; INTERNAL when
// the weights are not there; CANCELLED when stopped.
// REQUIRES: spec.predict_samples is not empty.
absl::Status RunPredictAttempt(const std::string& directory,
                               const AttemptSpec& spec,
                               const PreparedDataset& dataset,
                               EventWriter& events,
                               const std::function<bool()>& stop, Clock& clock);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_PREDICT_ATTEMPT_H_
