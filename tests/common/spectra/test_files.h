// Where the tests of spectra find reference files and real samples.
#ifndef FOLDFARM_TESTS_COMMON_SPECTRA_TEST_FILES_H_
#define FOLDFARM_TESTS_COMMON_SPECTRA_TEST_FILES_H_

#include <cstdlib>
#include <string>

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

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COMMON_SPECTRA_TEST_FILES_H_
