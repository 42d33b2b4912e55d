#include "coordinator/cli/output_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

// What no file can replace, in words; "" for what one can.
absl::string_view NameIrreplaceable(mode_t mode) {
  if (S_ISREG(mode)) return "";
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  if (S_ISFIFO(mode)) return "a FIFO";
  if (S_ISSOCK(mode)) return "a socket";
  return "no file";
}

// A name of what this process has open. Behind it may be a file that others
// write, too: a new one in its place would take that from them.
bool IsOpenStream(const std::string& path) {
  return path == "-" || path == "/dev/stdout" || path == "/dev/stderr" ||
         absl::StartsWith(path, "/dev/fd/") ||
         absl::StartsWith(path, "/proc/self/fd/");
}

// Where the symbolic links of `path` lead, which is there.
absl::StatusOr<std::string> FollowLinks(const std::string& path) {
  char* target = realpath(path.c_str(), nullptr);
  if (target == nullptr) return ErrnoStatus(path, "cannot follow the link");
  std::string found(target);
  free(target);
  return found;
}

}  // namespace

absl::StatusOr<std::string> FindOutputFile(const std::string& path) {
  if (path.empty()) {
    return absl::InvalidArgumentError("--out is empty, expected a file's name");
  }
  if (IsOpenStream(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--out ", path,
                     " is a stream that is open already, expected a file to "
                     "write"));
  }
  const std::string folder = DirectoryOf(path);
  if (!IsDirectory(folder)) {
    return absl::NotFoundError(
        absl::StrCat("--out ", path, ": there is no folder ", folder));
  }
  std::string file = path;
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    const absl::string_view kind = NameIrreplaceable(info.st_mode);
    if (!kind.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--out ", path, " is ", kind, ", expected a file to write"));
    }
    struct stat unfollowed;
    if (lstat(path.c_str(), &unfollowed) == 0 && S_ISLNK(unfollowed.st_mode)) {
      FOLDFARM_ASSIGN_OR_RETURN(file, FollowLinks(path));
    }
  } else if (lstat(path.c_str(), &info) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--out ", path,
        " is a symbolic link to nothing, expected a file to write; remove the "
        "link, or make what it points at"));
  } else if (errno != ENOENT) {
    return ErrnoStatus(path, "cannot write");
  }
  // A new file takes the place of the former one.
  if (access(DirectoryOf(file).c_str(), W_OK) != 0) {
    return ErrnoStatus(file, "cannot write");
  }
  return file;
}

absl::Status CheckOutputFile(const std::string& path) {
  return FindOutputFile(path).status();
}

}  // namespace foldfarm
