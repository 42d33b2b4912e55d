// How a command gets into the farm that --coordinator names.
//
// A command line names one farm. Clients of its address connect as its flags
// say; those of another address (a farm that `foldfarm run` starts on this
// machine) connect plainly, and never show it the token.
#ifndef FOLDFARM_COORDINATOR_CLI_FARM_ACCESS_H_
#define FOLDFARM_COORDINATOR_CLI_FARM_ACCESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "common/rpc/client_access.h"

namespace foldfarm {

// From now on FarmClients of `address` connect so. Thread-safe.
void SetFarmAccess(const std::string& address, const ClientAccess& access);

// How to connect to `address`. Errors: those of ToFarmChannel().
absl::StatusOr<FarmChannel> FarmChannelOptions(const std::string& address);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_FARM_ACCESS_H_
