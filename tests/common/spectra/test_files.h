// Where the tests of spectra find reference files and real samples.
#ifndef FOLDFARM_TESTS_COMMON_SPECTRA_TEST_FILES_H_
#define FOLDFARM_TESTS_COMMON_SPECTRA_TEST_FILES_H_

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"

namespace foldfarm {

// A file of the folder with real data, which is not part of the project.
inline std::string SharedFile(const std::string& name) {
  const char* shared = std::getenv("FOLDFARM_SHARED");
  const std::string base =
      shared != nullptr ? shared : FOLDFARM_SOURCE_DIR "/../shared";
  return base + "/" + name;
}

inline std::string GoldenFile(const std::string& name) {
  return FOLDFARM_SOURCE_DIR "/tests/golden/" + name;
}

// A folder that is removed at the end of its scope.
class ScratchFolder {
 public:
  ScratchFolder() : path_(*MakeTemporaryDirectory("foldfarm_test")) {}
  ~ScratchFolder() { RemoveRecursively(path_).IgnoreError(); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  std::string file(const std::string& name) const {
    return JoinPath(path_, name);
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

// The folder with train_features/ID.csv for each of `ids`: that named by the
// environment variable FOLDFARM_MARS (an unpacked data set), or `scratch`, into
// which they are unpacked. NOT_FOUND when there are neither.
inline absl::StatusOr<std::string> RealTrainFeatures(
    const std::vector<std::string>& ids, const ScratchFolder& scratch) {
  if (const char* mars = std::getenv("FOLDFARM_MARS")) return mars;
  const std::string archive = SharedFile("data/mars/train_features.tar.zst");
  if (!FileExists(archive)) {
    return absl::NotFoundError(
        absl::StrCat("FOLDFARM_MARS is not set and ", archive, " is absent"));
  }
  SubprocessOptions options;
  options.argv = {
      "tar",         "-x",    "--use-compress-program=zstd -d --long=27",
      "-f",          archive, "-C",
      scratch.path()};
  for (const std::string& id : ids) {
    options.argv.push_back(absl::StrCat("train_features/", id, ".csv"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const auto tar, Subprocess::Spawn(options));
  const ExitState exit = tar->Wait();
  if (exit.signal != 0 || exit.exit_status != 0) {
    return absl::NotFoundError(absl::StrCat("cannot unpack ", archive));
  }
  return scratch.path();
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COMMON_SPECTRA_TEST_FILES_H_
