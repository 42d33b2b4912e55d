// `foldfarm run`: a whole sweep on this machine, from a folder of samples to an
// ensemble.
//
// 1. OUT is locked, so that two runs never share a coordinator's files.
// 2. A coordinator starts in OUT/coordinator; the samples are imported unless
//    the farm has them already.
// 3. The sweep is submitted once: its request id is in OUT/run.json before it
//    is used (run_state.h). A changed sweep file is a new sweep, which takes
//    over the results of jobs that did not change; what the former one did not
//    finish is cancelled before workers start.
// 4. Workers train; this process shows progress and restarts what dies.
// 5. Results are written into OUT, without what a former run left there of
//    models that are gone; everything is stopped.
// Whatever ends it, the same command goes on where it was: jobs and checkpoints
// are the coordinator's, and its folder survives.
#ifndef FOLDFARM_COORDINATOR_CLI_RUN_H_
#define FOLDFARM_COORDINATOR_CLI_RUN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/command_context.h"

namespace foldfarm {

struct RunOptions {
  std::string sweep_file;
  std::string data;
  std::string out;
  int workers = 0;  // 0: DefaultWorkers.
  std::string device = "auto";
  std::string trainer;  // Empty: foldfarm-trainer beside this program.
  std::vector<std::string> sets;  // KEY=VALUE, over the sweep file.
  bool allow_exec = false;        // Models may be programs of the user's.
  // How to go on, for messages: "foldfarm run ...".
  std::string command;
};

// Two on two cores; beyond, one for every four cores, at most eight.
int DefaultWorkers(int cores);

// Returns kExitDone when every job succeeded, else kExitFailed.
//
// Errors: FAILED_PRECONDITION when another run holds OUT; CANCELLED after an
// interrupt; those of the sweep file, the import and the children.
absl::StatusOr<int> RunSweep(CommandContext& context,
                             const RunOptions& options);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_RUN_H_
