// The file that a command is to write.
#ifndef FOLDFARM_COORDINATOR_CLI_OUTPUT_FILE_H_
#define FOLDFARM_COORDINATOR_CLI_OUTPUT_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace foldfarm {

// Where to write what --out asks for: `path` itself, or the file that a
// symbolic link of that name leads to. What is written replaces the file there,
// so it must be one, or nothing yet: a device, a FIFO or a link would be gone.
//
// Call it before any work is done. Errors: NOT_FOUND when the folder is not
// there; INVALID_ARGUMENT when `path` is empty, is a folder, a device, a FIFO
// or a socket, or is a link to one of these or to nothing; PERMISSION_DENIED.
// Thread-safe.
absl::StatusOr<std::string> FindOutputFile(const std::string& path);

// The same, of whether there is such a place.
absl::Status CheckOutputFile(const std::string& path);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_OUTPUT_FILE_H_
