// One attempt, from the folder that the worker prepared to its results.
//
//  1. The folder holds attempt.json, dataset.safetensors and, when resuming,
//     checkpoint/{weights,state}.safetensors.
//  2. Epoch by epoch: train, score, say so; from time to time a checkpoint, a
//     new folder checkpoint-NNNNNN that is never touched again.
//  3. At the end the held-out samples are predicted: weights.safetensors and
//     oof.safetensors.
//  4. Asked to stop, the attempt drops the epoch under way, leaves a checkpoint
//     of the last finished one, and ends.
// An attempt that predicts instead is described in predict_attempt.h.
//
// Torch's exceptions end here: what leaves is a Status.
#ifndef FOLDFARM_WORKER_TRAINER_ATTEMPT_H_
#define FOLDFARM_WORKER_TRAINER_ATTEMPT_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/base/clock.h"
#include "worker/trainer/events.h"

namespace foldfarm {

// What the trainer exits with.
enum AttemptExit {
  kExitDone = 0,
  kExitBadConfiguration = 64,
  kExitFailed = 70,
  kExitOutOfMemory = 71,
  kExitStopped = 75,
};

// Runs the attempt in `directory`; `stop` is asked between batches.
// Errors: CANCELLED when stopped; INVALID_ARGUMENT for a configuration that
// cannot work; RESOURCE_EXHAUSTED when memory ran out; INTERNAL and others when
// the attempt failed.
absl::Status RunAttempt(const std::string& directory, EventWriter& events,
                        const std::function<bool()>& stop, Clock& clock);

// The exit status that tells `status` to the worker.
int ExitStatusOf(const absl::Status& status);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_ATTEMPT_H_
