// The `foldfarm` command.
#include <string>
#include <vector>

#include "coordinator/cli/cli.h"

int main(int argc, char** argv) {
  return foldfarm::RunCli(std::vector<std::string>(argv + 1, argv + argc),
                          foldfarm::Console::ForProcess());
}
