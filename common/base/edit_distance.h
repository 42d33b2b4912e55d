// How far two words are apart, for "did you mean ...?".
#ifndef FOLDFARM_COMMON_BASE_EDIT_DISTANCE_H_
#define FOLDFARM_COMMON_BASE_EDIT_DISTANCE_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace foldfarm {

// Fewest insertions, deletions, replacements and swaps of neighbours that turn
// one word into the other (optimal string alignment). Thread-safe.
size_t EditDistance(absl::string_view a, absl::string_view b);

// The candidate nearest to a mistyped word, or "" when none is within a third
// of its length (at least 1). One that begins with the word counts as near.
std::string Nearest(absl::string_view word,
                    absl::Span<const std::string> candidates);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_EDIT_DISTANCE_H_
