// Tokens: who may call a coordinator, and as what.
//
// A token file has one line a caller:
//
//   # ROLE     NAME   TOKEN, or sha256: and its SHA-256 in hex
//   client     anna   sha256:9f86d081884c7d659a2feaa0c55ad015...
//   worker     gpu1   sha256:60303ae22b998861bce3b28f33eec1be...
//   read-only  board  sha256:fd61a03af4f77d870fc21e05e7e80678...
//
// `foldfarm token new` makes them. Whoever reads a file of digests cannot call
// the farm with it. A file that others than its owner and group can read is
// refused.
#ifndef FOLDFARM_COMMON_RPC_TOKENS_H_
#define FOLDFARM_COMMON_RPC_TOKENS_H_

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"

namespace foldfarm {

enum class Role {
  // Looks at everything, changes nothing.
  kReadOnly,
  // A person: everything that `foldfarm` can do.
  kClient,
  // A daemon: takes leases and delivers results.
  kWorker,
};

// "read-only", "client", "worker".
absl::string_view RoleName(Role role);
std::optional<Role> ParseRole(absl::string_view name);

// One line of a token file.
struct KnownToken {
  Role role = Role::kReadOnly;
  // Who it was given to. See MayWorkAs() for workers.
  std::string name;
  // Of the token, lower-case hex.
  std::string sha256;
};

// Fewer visible characters than this are refused.
inline constexpr size_t kMinTokenSize = 16;

// Whether two secrets are equal, in a time that does not tell how much of them
// is.
bool SameSecret(absl::string_view a, absl::string_view b);

// A new token: 256 random bits behind "ff_".
std::string NewToken();

// OK for at least kMinTokenSize visible ASCII characters. Errors:
// INVALID_ARGUMENT; never quotes the token.
absl::Status CheckToken(absl::string_view token);

// "worker gpu1 sha256:..." for a token file.
std::string TokenLine(Role role, absl::string_view name,
                      absl::string_view token);

// Whether a worker's token of this name may register a worker as `worker`: the
// name itself, or NAME-ANYTHING (a worker is HOST-PID by default). A name that
// ends in '*' stands for all that begin so.
bool MayWorkAs(absl::string_view token_name, absl::string_view worker);

// Errors: INVALID_ARGUMENT with PATH:LINE, for a line that is not as above, a
// token that stands twice, and a file with no token. If it may be `empty` it
// may hold none, but something: one of no bytes is being written anew.
absl::StatusOr<std::vector<KnownToken>> ParseTokens(absl::string_view text,
                                                    const std::string& path,
                                                    bool empty = false);

// The tokens of a file. Errors: those of reading; FAILED_PRECONDITION when
// everybody can read it; INVALID_ARGUMENT as ParseTokens.
absl::StatusOr<std::vector<KnownToken>> ReadTokenFile(const std::string& path);

// The one token in a file of a worker or a person: its text without
// surrounding space. Errors: as above; INVALID_ARGUMENT as CheckToken.
absl::StatusOr<std::string> ReadOneToken(const std::string& path);

// The tokens of a file as it is now: it is looked at again when it has changed,
// at most once a second. A file that became bad changes nothing but the log;
// one whose last token became a comment lets nobody in any more.
//
// Thread-safe.
class TokenStore {
 public:
  // `clock` is borrowed. Errors: those of ReadTokenFile.
  static absl::StatusOr<std::unique_ptr<TokenStore>> Open(
      const std::string& path, Clock& clock);

  // Whose token it is; nothing for an unknown one. Compares with all of them,
  // whichever is right.
  std::optional<KnownToken> Find(absl::string_view token);

  // Reads the file again, changed or not.
  absl::Status Reload();

 private:
  TokenStore(std::string path, Clock& clock)
      : path_(std::move(path)), clock_(clock) {}
  absl::Status ReloadLocked(bool empty) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  const std::string path_;
  Clock& clock_;  // Borrowed; outlives this.
  absl::Mutex mu_;
  std::vector<KnownToken> tokens_ ABSL_GUARDED_BY(mu_);
  absl::Duration looked_ ABSL_GUARDED_BY(mu_);
  // Of the file that was read last, good or bad.
  struct stat seen_ ABSL_GUARDED_BY(mu_) = {};
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_TOKENS_H_
