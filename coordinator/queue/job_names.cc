#include "coordinator/queue/job_names.h"

#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace foldfarm {

std::string SweepName(SweepId sweep) { return absl::StrCat("s", sweep.value); }

std::optional<SweepId> ParseSweepName(absl::string_view name) {
  int64_t number = 0;
  if (!LooksLikeSweepId(name) || !absl::SimpleAtoi(name.substr(1), &number)) {
    return std::nullopt;
  }
  return SweepId{number};
}

std::string JobName(SweepId sweep, const std::string& model, int fold) {
  return absl::StrCat(SweepName(sweep), "/", model, "/", fold);
}

}  // namespace foldfarm
