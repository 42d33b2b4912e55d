#include "coordinator/cli/inside_folder.h"

#include <sys/stat.h>

#include <cerrno>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

constexpr size_t kMostNameBytes = 255;

bool IsPlainName(absl::string_view name) {
  if (name.empty() || name.size() > kMostNameBytes || name == "." ||
      name == "..") {
    return false;
  }
  for (const char c : name) {
    if (c == '\\' || absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      return false;
    }
  }
  return true;
}

// Makes one folder, unless it is there.
absl::Status MakeRealFolder(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    if (errno != ENOENT) return ErrnoStatus(path, "cannot stat");
    if (mkdir(path.c_str(), 0777) != 0) {
      return ErrnoStatus(path, "cannot create folder");
    }
    return absl::OkStatus();
  }
  if (S_ISDIR(info.st_mode)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      S_ISLNK(info.st_mode)
          ? absl::StrCat(path,
                         " is a symbolic link, which is not followed; remove "
                         "it, or choose another folder")
          : absl::StrCat(path, " is a file, expected a folder"));
}

}  // namespace

absl::StatusOr<std::string> MakePlaceInside(const std::string& folder,
                                            const std::string& relative) {
  const std::vector<std::string> names = absl::StrSplit(relative, '/');
  for (const std::string& name : names) {
    if (IsPlainName(name)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the coordinator names a file \"",
                     absl::CHexEscape(relative.substr(0, kMostNameBytes)),
                     "\", expected a path that stays inside of ", folder));
  }
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(folder));
  std::string path = folder;
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    path = JoinPath(path, names[i]);
    FOLDFARM_RETURN_IF_ERROR(MakeRealFolder(path));
  }
  return JoinPath(path, names.back());
}

}  // namespace foldfarm
