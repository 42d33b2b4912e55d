// "Did you mean ...?": the candidate nearest to a mistyped word.
#ifndef FOLDFARM_COORDINATOR_CLI_SUGGEST_H_
#define FOLDFARM_COORDINATOR_CLI_SUGGEST_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace foldfarm {

// The nearest candidate, or "" when none is within a third of the word's
// length (at least 1). A candidate that begins with the word counts as near.
std::string Nearest(absl::string_view word,
                    absl::Span<const std::string> candidates);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_SUGGEST_H_
