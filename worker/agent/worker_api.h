// The coordinator as an attempt and the daemon see it: one call, one try.
//
// An interface, so that tests put a coordinator of their own behind it and
// break it on purpose. Who retries what is decided by the callers, with the
// helpers below. Implementations are thread-safe.
#ifndef FOLDFARM_WORKER_AGENT_WORKER_API_H_
#define FOLDFARM_WORKER_AGENT_WORKER_API_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "foldfarm/v1/worker.pb.h"
#include "worker/agent/attempt_control.h"

namespace foldfarm {

class WorkerApi {
 public:
  virtual ~WorkerApi() = default;

  // As in foldfarm.v1.WorkerService, errors too.
  virtual absl::StatusOr<v1::RegisterResponse> Register(
      const v1::RegisterRequest& request) = 0;
  virtual absl::StatusOr<v1::AcquireLeasesResponse> AcquireLeases(
      const v1::AcquireLeasesRequest& request) = 0;
  virtual absl::StatusOr<v1::HeartbeatResponse> Heartbeat(
      const v1::HeartbeatRequest& request) = 0;
  virtual absl::StatusOr<v1::ReportProgressResponse> ReportProgress(
      const v1::ReportProgressRequest& request) = 0;
  virtual absl::StatusOr<v1::FinishAttemptResponse> FinishAttempt(
      const v1::FinishAttemptRequest& request) = 0;

  // Ends a transfer early with CANCELLED when it returns true.
  using Cancelled = std::function<bool()>;
  // Stores a file; the reference carries its base name and digest. A
  // coordinator whose disk is full counts as UNAVAILABLE.
  virtual absl::StatusOr<v1::ArtifactRef> Upload(
      const std::string& path, const Cancelled& cancelled) = 0;
  // Fetches an artifact; `path` appears whole and checked, or not at all.
  // RESOURCE_EXHAUSTED: this box's disk is full.
  virtual absl::Status Download(const v1::ArtifactRef& artifact,
                                const std::string& path,
                                const Cancelled& cancelled) = 0;

  // AcquireLeases with no free slot: returns when its time is up, or when this
  // worker is to send a heartbeat at once, since an attempt is to be stopped or
  // the worker was drained or undrained. UNIMPLEMENTED: nobody tells.
  virtual absl::Status AwaitNews(const v1::AcquireLeasesRequest&) {
    return absl::UnimplementedError("no news");
  }

  // Makes AwaitNews return, now and from now on.
  virtual void CancelNews() {}

  // Makes the AcquireLeases that waits, or comes next, return at once with what
  // it was granted or nothing (CANCELLED when nobody says which).
  virtual void EndWait() = 0;

  // Makes AcquireLeases return at once, now with what it was granted or nothing
  // (CANCELLED when nobody says which), and from now on with CANCELLED.
  virtual void CancelWaits() = 0;
};

// True when the coordinator is away or restarting, or does not know our
// credentials: repeating the call may help, and the attempt is not to blame. So
// it may after an error that nobody can tell from one of this box (see
// Patience).
bool IsOutage(const absl::Status& status);

// Delay before trying again after `failures` failures in a row: half a second
// growing to 5 s, with jitter. Short, because a coordinator that comes back
// must hear from everyone within a lease.
absl::Duration OutageDelay(int failures);

// How long to go on with a call that fails again and again. What may pass by
// itself is repeated for as long as it takes. An error that may as well be this
// box's own, of its disk, or a damaged file, is not: the attempt would hold its
// slot for ever.
class Patience {
 public:
  // Whether to try again in `delay`. Says at times what does not work.
  bool TryAgain(const absl::Status& status, absl::Duration delay);

 private:
  absl::Duration waited_;     // For what may be this box's own trouble.
  absl::Duration said_from_;  // What `waited_` was then.
  int damaged_ = 0;
};

// Repeats `call` with backoff while it reports an outage. Returns its first
// other status, one that did not pass (see Patience), or CANCELLED when
// `control` reached `give_up` first.
absl::Status RetryOutages(AttemptControl& control, StopReason give_up,
                          const std::function<absl::Status()>& call);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_WORKER_API_H_
