// Who may call what: one table with every method of every service, and the one
// place where a call is let in.
//
// A call is refused before its handler runs: UNAUTHENTICATED without a token
// that is known, PERMISSION_DENIED for a role that may not. A method that is
// not in the table is refused to everybody.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_SERVICE_ACCESS_H_
#define FOLDFARM_COORDINATOR_SERVICE_ACCESS_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_context.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "common/rpc/tokens.h"
#include "coordinator/queue/job_queue.h"

namespace foldfarm {

// The roles that may call one method.
struct MethodRule {
  bool read_only = false;
  bool client = false;
  bool worker = false;
  // No token is asked for: it says nothing about the farm.
  bool open = false;
};

// The rule of "/foldfarm.v1.FarmService/ListJobs"; nothing if it has none.
std::optional<MethodRule> RuleOf(absl::string_view method);

// Whether a call with this `authorization` header may be made.
absl::Status CheckCall(TokenStore& tokens, absl::string_view method,
                       absl::string_view authorization);

// For a stream of `method` that lasts: whether its caller may still make that
// call, whose token may have been replaced since. Null when `tokens`, which is
// borrowed, is null. Errors: those of CheckCall().
std::function<absl::Status()> StillMay(
    TokenStore* tokens, const grpc::CallbackServerContext& context,
    std::string method);

// The token in "Bearer TOKEN"; empty for anything else.
absl::string_view BearerToken(absl::string_view authorization);

// Credentials that let in only calls that CheckCall() accepts. `tls` null: a
// plain connection. `tokens` is borrowed and outlives the server.
std::shared_ptr<grpc::ServerCredentials> RequireTokens(
    std::shared_ptr<grpc::ServerCredentials> tls, TokenStore& tokens);

// Keeps workers apart: a worker's token stands for certain names, a session for
// one name, an attempt for one session.
class WorkerAccess {
 public:
  // Both are borrowed; `tokens` may be null: then all may do all.
  WorkerAccess(TokenStore* tokens, JobQueue& queue)
      : tokens_(tokens), queue_(queue) {}

  // Errors: PERMISSION_DENIED when the caller's token is for other names.
  absl::Status MayRegister(const grpc::CallbackServerContext& context,
                           absl::string_view name);
  // Whether a stream of calls may still make one; its token may have been
  // replaced since it was opened. Errors: those of CheckCall().
  absl::Status MayStillWork(const grpc::CallbackServerContext& context);
  // Errors: PERMISSION_DENIED when the session is another worker's. An unknown
  // one passes: the queue answers it.
  absl::Status MayUseSession(const grpc::CallbackServerContext& context,
                             int64_t session);
  // Errors: PERMISSION_DENIED when the attempt is another worker's. A stale
  // token passes: the queue answers it.
  absl::Status MayUseAttempt(const grpc::CallbackServerContext& context,
                             int64_t token);

 private:
  absl::Status MayWork(const grpc::CallbackServerContext& context,
                       absl::string_view worker, absl::string_view what);
  std::optional<std::string> NameOf(WorkerSession session);

  TokenStore* const tokens_;
  JobQueue& queue_;
  absl::Mutex mu_;
  // Of sessions seen; a session never changes its name.
  absl::flat_hash_map<WorkerSession, std::string> names_ ABSL_GUARDED_BY(mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_ACCESS_H_
