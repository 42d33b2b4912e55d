// Watching a sweep to its end, for the commands that wait.
#ifndef FOLDFARM_COORDINATOR_CLI_WATCH_COMMAND_H_
#define FOLDFARM_COORDINATOR_CLI_WATCH_COMMAND_H_

#include <string>

#include "absl/status/statusor.h"
#include "coordinator/cli/command_context.h"
#include "coordinator/cli/sweep_watcher.h"

namespace foldfarm {

// Shows the sweep until every job is final. Ctrl-C ends watching, not the
// sweep. Returns kExitDone if the sweep SUCCEEDED, else kExitFailed.
//
// Errors: CANCELLED after Ctrl-C; those of SweepWatcher::result.
absl::StatusOr<int> WatchToTheEnd(CommandContext& context, FarmClient& client,
                                  const std::string& sweep,
                                  SweepWatcher::Target target);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_WATCH_COMMAND_H_
