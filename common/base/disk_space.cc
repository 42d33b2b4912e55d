#include "common/base/disk_space.h"

#include <sys/statvfs.h>

#include "common/base/files.h"

namespace foldfarm {

absl::StatusOr<int64_t> FreeBytes(const std::string& path) {
  struct statvfs info;
  if (statvfs(path.c_str(), &info) != 0) {
    return ErrnoStatus(path, "cannot look at the file system");
  }
  return static_cast<int64_t>(info.f_bavail) *
         static_cast<int64_t>(info.f_frsize);
}

}  // namespace foldfarm
