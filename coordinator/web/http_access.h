// Who may read the page and who may change something on it.
#ifndef FOLDFARM_COORDINATOR_WEB_HTTP_ACCESS_H_
#define FOLDFARM_COORDINATOR_WEB_HTTP_ACCESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// Whether two secrets are equal, in a time that does not tell how much of them
// is.
bool SameSecret(absl::string_view a, absl::string_view b);

// Whether a Host header means this machine: localhost, 127.x.x.x or [::1], with
// any port.
bool NamesThisMachine(absl::string_view header);

// The token in a file: its text without surrounding space.
// Errors: those of reading; INVALID_ARGUMENT when it has fewer than 16
// characters or other than visible ASCII ones.
absl::StatusOr<std::string> ReadHttpToken(const std::string& path);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_HTTP_ACCESS_H_
