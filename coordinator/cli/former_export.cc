#include "coordinator/cli/former_export.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_split.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "coordinator/cli/inside_folder.h"

namespace foldfarm {
namespace {

using Json = nlohmann::ordered_json;

// A text of an index.json that anybody may have edited; "" where there is none.
std::string IndexText(const Json& entry, const char* key) {
  if (!entry.is_object()) return "";
  const auto text = entry.find(key);
  return text != entry.end() && text->is_string() ? text->get<std::string>()
                                                  : std::string();
}

bool IsRealFile(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool IsRealFolder(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

// SHA-256 by path, as the index says.
std::map<std::string, std::string> FormerFiles(const std::string& index_path) {
  std::map<std::string, std::string> former;
  if (!IsRealFile(index_path)) return former;
  const absl::StatusOr<std::string> text = ReadFile(index_path);
  if (!text.ok()) return former;
  const Json index = ParseOrderedJson(*text);
  if (!index.is_object()) return former;
  const auto files = index.find("files");
  if (files == index.end() || !files->is_array()) return former;
  for (const Json& file : *files) {
    former[IndexText(file, "path")] = IndexText(file, "sha256");
  }
  return former;
}

// Where MODEL/NAME stands in `directory`; "" when that is no file, or no path
// of an export: nothing outside of the folder is touched.
std::string FormerPath(const std::string& directory, const std::string& file) {
  const std::vector<std::string> names = absl::StrSplit(file, '/');
  if (names.size() != 2 || names[0].empty() || names[0] == "." ||
      names[0] == ".." || !IsRealFolder(JoinPath(directory, names[0]))) {
    return "";
  }
  // Makes no folder, for the only one is there.
  const absl::StatusOr<std::string> path = MakePlaceInside(directory, file);
  return path.ok() && IsRealFile(*path) ? *path : "";
}

}  // namespace

absl::StatusOr<std::vector<std::string>> RemoveFormerExport(
    const std::string& index, const std::set<std::string>& present,
    const std::set<std::string>& kept) {
  std::vector<std::string> removed;
  std::set<std::string> folders;
  for (const auto& [file, digest] : FormerFiles(index)) {
    if (present.count(file) > 0 || kept.count(DirectoryOf(file)) > 0) continue;
    const std::string path = FormerPath(DirectoryOf(index), file);
    if (path.empty()) continue;
    const auto found = Sha256HexOfFile(path);
    if (!found.ok() || *found != digest) continue;
    if (unlink(path.c_str()) != 0) return ErrnoStatus(path, "cannot remove");
    removed.push_back(file);
    folders.insert(DirectoryOf(path));
  }
  for (const std::string& folder : folders) {
    if (rmdir(folder.c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST) {
      return ErrnoStatus(folder, "cannot remove");
    }
  }
  return removed;
}

}  // namespace foldfarm
