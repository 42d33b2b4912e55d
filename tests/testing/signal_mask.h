// What another process does with its signals.
#ifndef FOLDFARM_TESTS_TESTING_SIGNAL_MASK_H_
#define FOLDFARM_TESTS_TESTING_SIGNAL_MASK_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"

namespace foldfarm {

// Whether `signal` reaches process `pid` no more: its main thread blocks it, or
// it is over. See proc(5), SigBlk.
inline bool BlocksOrEnded(pid_t pid, int signal) {
  const auto status = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  if (!status.ok()) return true;
  for (absl::string_view line : absl::StrSplit(*status, '\n')) {
    uint64_t blocked = 0;
    if (absl::ConsumePrefix(&line, "SigBlk:\t") &&
        absl::SimpleHexAtoi(line, &blocked)) {
      return (blocked >> (signal - 1) & 1) != 0;
    }
  }
  return true;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_SIGNAL_MASK_H_
