// Places below a folder that a person named, for files whose names a
// coordinator said.
//
// Nothing that it says may lead elsewhere: not "..", not "/etc", and not a
// symbolic link that stands in the folder and points out of it.
//
// Functions are thread-safe. Who changes the folder meanwhile is not guarded
// against: that takes the rights of the person who runs the command.
#ifndef FOLDFARM_COORDINATOR_CLI_INSIDE_FOLDER_H_
#define FOLDFARM_COORDINATOR_CLI_INSIDE_FOLDER_H_

#include <string>

#include "absl/status/statusor.h"

namespace foldfarm {

// The path of `relative` ("gru/0.safetensors") below `folder`; the folders on
// the way are made. What is at its end is not looked at.
//
// Errors: INVALID_ARGUMENT quoting a name that is not one to 255 bytes without
// control characters and '\', or is "." or ".."; FAILED_PRECONDITION when
// something on the way is a symbolic link or no folder; those of mkdir.
absl::StatusOr<std::string> MakePlaceInside(const std::string& folder,
                                            const std::string& relative);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_INSIDE_FOLDER_H_
