// What a command that writes files, or makes something, says to programs.
#ifndef FOLDFARM_COORDINATOR_CLI_JSON_SUMMARY_H_
#define FOLDFARM_COORDINATOR_CLI_JSON_SUMMARY_H_

#include <nlohmann/json.hpp>

#include "coordinator/cli/command_context.h"

namespace foldfarm {

// With -o json, prints `summary` on stdout, as one document; else nothing:
// people are told on stderr. Names are lowerCamelCase, as in replies.
void PrintSummary(const CommandContext& context,
                  const nlohmann::ordered_json& summary);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_JSON_SUMMARY_H_
