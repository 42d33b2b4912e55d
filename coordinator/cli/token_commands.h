// foldfarm token new: makes a token for a person, a worker or a screen.
#ifndef FOLDFARM_COORDINATOR_CLI_TOKEN_COMMANDS_H_
#define FOLDFARM_COORDINATOR_CLI_TOKEN_COMMANDS_H_

#include "coordinator/cli/command_context.h"

namespace foldfarm {

void AddTokenCommands(CLI::App& app, Invocation& invocation);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_TOKEN_COMMANDS_H_
