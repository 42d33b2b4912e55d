#include "coordinator/queue/near_misses.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/edit_distance.h"

namespace foldfarm {
namespace {

constexpr size_t kMostNearMisses = 3;

}  // namespace

std::string NearMisses(const std::string& name,
                       const std::vector<std::string>& candidates) {
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(name, candidate);
    if (distance <= std::max<size_t>(2, name.size() / 3)) {
      near.emplace_back(distance, candidate);
    }
  }
  if (near.empty()) return "";
  std::sort(near.begin(), near.end());
  near.erase(std::unique(near.begin(), near.end()), near.end());
  near.resize(std::min(near.size(), kMostNearMisses));
  return absl::StrCat(
      "; did you mean ",
      absl::StrJoin(near, ", ",
                    [](std::string* out, const auto& candidate) {
                      out->append(candidate.second);
                    }),
      "?");
}

}  // namespace foldfarm
