// workers, drain, undrain.
#ifndef FOLDFARM_COORDINATOR_CLI_WORKER_COMMANDS_H_
#define FOLDFARM_COORDINATOR_CLI_WORKER_COMMANDS_H_

#include "coordinator/cli/command_context.h"

namespace foldfarm {

void AddWorkerCommands(CLI::App& app, Invocation& invocation);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_WORKER_COMMANDS_H_
