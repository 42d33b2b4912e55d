// How far two words are apart, for "did you mean ...?".
#ifndef FOLDFARM_COMMON_BASE_EDIT_DISTANCE_H_
#define FOLDFARM_COMMON_BASE_EDIT_DISTANCE_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace foldfarm {

// Fewest insertions, deletions, replacements and swaps of neighbours that turn
// one word into the other (optimal string alignment). Thread-safe.
size_t EditDistance(absl::string_view a, absl::string_view b);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_EDIT_DISTANCE_H_
