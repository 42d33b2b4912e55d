// A folder for what must lie in files, in memory where the machine has such a
// place, and gone when the process ends in peace.
#ifndef FOLDFARM_TESTS_FUZZ_SCRATCH_H_
#define FOLDFARM_TESTS_FUZZ_SCRATCH_H_

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/files.h"
#include "tests/fuzz/fuzz.h"

namespace foldfarm {

class Scratch {
 public:
  // One a process.
  static const std::string& Folder() {
    static const Scratch scratch;
    return scratch.path_;
  }

  // Writes a file of the folder and returns its path.
  static std::string Write(absl::string_view name, absl::string_view bytes) {
    std::string path = JoinPath(Folder(), name);
    std::FILE* file = std::fopen(path.c_str(), "wb");
    Promise(file != nullptr, "the scratch folder takes a file", path);
    const size_t written = std::fwrite(bytes.data(), 1, bytes.size(), file);
    Promise(std::fclose(file) == 0 && written == bytes.size(),
            "the scratch folder has room", path);
    return path;
  }

 private:
  Scratch() {
    if (IsDirectory("/dev/shm")) setenv("TMPDIR", "/dev/shm", 0);
    path_ = MakeTemporaryDirectory("foldfarm-fuzz-").value();
  }
  ~Scratch() { RemoveRecursively(path_).IgnoreError(); }

  std::string path_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_FUZZ_SCRATCH_H_
