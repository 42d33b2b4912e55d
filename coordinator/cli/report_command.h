// report.
#ifndef FOLDFARM_COORDINATOR_CLI_REPORT_COMMAND_H_
#define FOLDFARM_COORDINATOR_CLI_REPORT_COMMAND_H_

#include "coordinator/cli/command_context.h"

namespace foldfarm {

void AddReportCommand(CLI::App& app, Invocation& invocation);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_REPORT_COMMAND_H_
