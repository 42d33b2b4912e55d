// Who may read the page and who may change something on it.
#ifndef FOLDFARM_COORDINATOR_WEB_HTTP_ACCESS_H_
#define FOLDFARM_COORDINATOR_WEB_HTTP_ACCESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/rpc/tokens.h"

namespace foldfarm {

// Whether a Host header means this machine: localhost, 127.x.x.x or [::1], with
// any port.
bool NamesThisMachine(absl::string_view header);

// The token in a file: its text without surrounding space.
// Errors: those of reading; INVALID_ARGUMENT when it has fewer than 16
// characters or other than visible ASCII ones.
absl::StatusOr<std::string> ReadHttpToken(const std::string& path);

// Whether a request with this Authorization header may look: any known token,
// as "Bearer TOKEN" or as the password of "Basic", which browsers ask for and
// send with every request, event streams included.
// Errors: UNAUTHENTICATED.
absl::Status MayRead(TokenStore& tokens, absl::string_view authorization);

// Whether it may change something: the role client, and "Bearer" alone, which
// no browser adds by itself.
// Errors: PERMISSION_DENIED.
absl::Status MayChange(TokenStore& tokens, absl::string_view authorization);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_HTTP_ACCESS_H_
