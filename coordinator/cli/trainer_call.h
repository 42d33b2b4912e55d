// Asks foldfarm-trainer for what only it can do: draw, explain.
#ifndef FOLDFARM_COORDINATOR_CLI_TRAINER_CALL_H_
#define FOLDFARM_COORDINATOR_CLI_TRAINER_CALL_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/clock.h"

namespace foldfarm {

// The program: `given`, or foldfarm-trainer beside this one. Errors: as of a
// program that cannot be run; `purpose` says for what ("draws").
absl::StatusOr<std::string> FindTrainer(const std::string& given,
                                        absl::string_view purpose);

struct TrainerCall {
  std::string trainer;
  std::string command;  // "draw"
  std::string folder;   // What it reads and writes; its words go there too.
  // Told its last line now and then while it runs; may be empty.
  std::function<void(const std::string& line)> progress;
};

// Runs TRAINER COMMAND FOLDER and waits. Errors: INVALID_ARGUMENT with its last
// words when it refuses; RESOURCE_EXHAUSTED; CANCELLED after Ctrl-C; INTERNAL.
absl::Status CallTrainer(Clock& clock, const TrainerCall& call);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_TRAINER_CALL_H_
