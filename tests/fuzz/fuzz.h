// What all fuzz targets share: promises that end the program when broken.
//
// A target calls the code under test with the bytes it got, whatever they are,
// and checks what the code promises of its answer. A crash, a sanitizer's
// report, a hang and a broken promise are findings.
#ifndef FOLDFARM_TESTS_FUZZ_FUZZ_H_
#define FOLDFARM_TESTS_FUZZ_FUZZ_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// What libFuzzer, or replay_main.cc, calls.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace foldfarm {

// Ends the program when a promise is broken, also in optimized builds.
inline void Promise(bool kept, absl::string_view promise,
                    absl::string_view detail = "") {
  if (kept) return;
  std::fprintf(stderr, "broken promise: %.*s: %.*s\n",
               static_cast<int>(promise.size()), promise.data(),
               static_cast<int>(detail.size()), detail.data());
  std::abort();
}

// An error of wrong input has this code and says something.
inline void PromiseInvalid(const absl::Status& status) {
  Promise(status.code() == absl::StatusCode::kInvalidArgument &&
              !status.message().empty(),
          "bad input is INVALID_ARGUMENT with a message", status.ToString());
}

// The input's parts: texts with a zero byte between them, always `count`.
inline std::vector<std::string> SplitInput(const uint8_t* data, size_t size,
                                           size_t count) {
  absl::string_view rest(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> parts;
  while (parts.size() + 1 < count) {
    const size_t end = rest.find('\0');
    if (end == absl::string_view::npos) break;
    parts.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  parts.emplace_back(rest);
  parts.resize(count);
  return parts;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_FUZZ_FUZZ_H_
