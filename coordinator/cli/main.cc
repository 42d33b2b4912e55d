// The `foldfarm` command.
#include <string>
#include <vector>

#include "coordinator/cli/cli.h"

// SIGPIPE keeps ending the process: in `foldfarm jobs s1 | head -1` nobody
// waits for the rest.
int main(int argc, char** argv) {
  return foldfarm::RunCli(std::vector<std::string>(argv + 1, argv + argc),
                          foldfarm::Console::ForProcess());
}
