#include "coordinator/cli/output_file.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"

namespace foldfarm {

absl::Status CheckOutputFile(const std::string& path) {
  const std::string folder = DirectoryOf(path);
  if (!IsDirectory(folder)) {
    return absl::NotFoundError(
        absl::StrCat("--out ", path, ": there is no folder ", folder));
  }
  if (IsDirectory(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--out ", path, " is a folder, expected a file to write"));
  }
  if (access(folder.c_str(), W_OK) != 0) {
    return ErrnoStatus(path, "cannot write");
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
