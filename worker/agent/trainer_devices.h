// Which devices a worker can use: those that its trainer sees.
//
// Nodes in /dev tell that a box has GPUs, but not whether the trainer's
// LibTorch knows CUDA. A worker that offered a GPU which its trainer does not
// see would use up the tries of one job after another.
#ifndef FOLDFARM_WORKER_AGENT_TRAINER_DEVICES_H_
#define FOLDFARM_WORKER_AGENT_TRAINER_DEVICES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/clock.h"

namespace foldfarm {

// Asks `foldfarm-trainer devices`, which takes a second or two: "cpu",
// "cuda:0",
// ... It is killed when it has not answered within `patience`.
//
// Errors: DEADLINE_EXCEEDED then; UNIMPLEMENTED for a program that does not
// know the question; those of Subprocess::Spawn.
absl::StatusOr<std::vector<std::string>> AskTrainerForDevices(
    const std::string& trainer, Clock& clock,
    absl::Duration patience = absl::Seconds(60));

// The devices that --device TEXT comes to with this trainer.
//
// It is asked where GPUs are named, or "auto" and there; "auto" becomes the
// CPU, with a warning, where it sees none. A trainer that cannot say is
// believed to see all of them: its attempts will tell (worker_fault.h). So is
// one beside which users' programs run (`allow_exec`), which may see more.
//
// Errors: INVALID_ARGUMENT for what is no device, and for a GPU that the
// trainer does not see.
absl::StatusOr<std::vector<std::string>> UsableDevices(
    absl::string_view text, const std::string& trainer, bool allow_exec,
    Clock& clock);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_TRAINER_DEVICES_H_
