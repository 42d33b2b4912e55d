// The file that a command is to write.
#ifndef FOLDFARM_COORDINATOR_CLI_OUTPUT_FILE_H_
#define FOLDFARM_COORDINATOR_CLI_OUTPUT_FILE_H_

#include <string>

#include "absl/status/status.h"

namespace foldfarm {

// Fails before any work is done when --out could not be written: NOT_FOUND when
// its folder is not there, INVALID_ARGUMENT when it is a folder itself,
// PERMISSION_DENIED. Thread-safe.
absl::Status CheckOutputFile(const std::string& path);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_OUTPUT_FILE_H_
