#include "coordinator/cli/suggest.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "common/base/edit_distance.h"

namespace foldfarm {

std::string Nearest(absl::string_view word,
                    absl::Span<const std::string> candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  if (!best.empty() || word.size() < 2) return best;
  for (const std::string& candidate : candidates) {
    if (absl::StartsWith(candidate, word)) return candidate;
  }
  return "";
}

}  // namespace foldfarm
