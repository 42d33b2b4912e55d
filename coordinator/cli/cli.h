// The `foldfarm` command line: parses it, runs one command, says how it ended.
//
// Exit status: 0 done, 1 failed, 2 wrong usage, 3 no coordinator answers, 130
// interrupted.
#ifndef FOLDFARM_COORDINATOR_CLI_CLI_H_
#define FOLDFARM_COORDINATOR_CLI_CLI_H_

#include <string>
#include <vector>

#include "coordinator/cli/console.h"

namespace foldfarm {

// `arguments` without the program's name. Results go to console.out, all else
// to console.err. Returns the exit status: 1, too, when results could not be
// written.
int RunCli(const std::vector<std::string>& arguments, Console console);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_CLI_H_
