// Runs a fuzz target on files and folders of files, once each: what libFuzzer
// found once stays mended in every build.
//
//   fuzz_sweep tests/fuzz/corpus/sweep
#include <cstdio>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "tests/fuzz/fuzz.h"

int main(int argc, char** argv) {
  std::vector<std::string> paths;
  for (int i = 1; i < argc; ++i) {
    const std::string path = argv[i];
    if (!foldfarm::IsDirectory(path)) {
      paths.push_back(path);
      continue;
    }
    const auto names = foldfarm::ListDirectory(path);
    if (!names.ok()) {
      std::fprintf(stderr, "%s\n", names.status().ToString().c_str());
      return 1;
    }
    for (const std::string& name : *names) {
      paths.push_back(foldfarm::JoinPath(path, name));
    }
  }
  if (paths.empty()) {
    std::fprintf(stderr, "no inputs: give files or folders of them\n");
    return 2;
  }
  for (const std::string& path : paths) {
    const auto bytes = foldfarm::ReadFile(path);
    if (!bytes.ok()) {
      std::fprintf(stderr, "%s\n", bytes.status().ToString().c_str());
      return 1;
    }
    // Said before: the last line names the input that broke something.
    std::fprintf(stderr, "%s: %zu bytes\n", path.c_str(), bytes->size());
    // A copy of just that size: a sanitizer sees a byte read beyond it.
    const std::vector<uint8_t> input(bytes->begin(), bytes->end());
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::fprintf(stderr, "%zu inputs\n", paths.size());
  return 0;
}
