// Room on a disk.
#ifndef FOLDFARM_COMMON_BASE_DISK_SPACE_H_
#define FOLDFARM_COMMON_BASE_DISK_SPACE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace foldfarm {

// Bytes that an ordinary user may still write below a folder. Thread-safe.
// Errors: those of the system, with the path.
absl::StatusOr<int64_t> FreeBytes(const std::string& path);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_DISK_SPACE_H_
