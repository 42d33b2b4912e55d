// Prepared datasets, and other files that attempts start with, on this box:
// fetched once and shared by all daemons on it.
//
// A file appears under its digest whole and checked, then is read-only. Its
// lock is held only while it is fetched, so daemons wait for each other only
// over the same file. Thread-safe.
#ifndef FOLDFARM_WORKER_AGENT_DATASET_CACHE_H_
#define FOLDFARM_WORKER_AGENT_DATASET_CACHE_H_

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "foldfarm/v1/job.pb.h"
#include "worker/agent/attempt_control.h"
#include "worker/agent/worker_api.h"

namespace foldfarm {

class DatasetCache {
 public:
  // Keeps files in DIR/cache, of at most so many bytes: what was not used for
  // longest goes first. A file that an attempt has linked, or that was used
  // within `kept_for`, stays all the same. Half a file that nobody fetches any
  // more counts and goes like a whole one.
  DatasetCache(const std::string& dir, WorkerApi& api,
               int64_t max_bytes = std::numeric_limits<int64_t>::max(),
               absl::Duration kept_for = absl::Minutes(10));

  // The path of the file; fetches it first when it is not there, and again
  // when its bytes do not match its digest (checked once per daemon, and when
  // somebody wrote into the file since).
  //
  // Waits through outages until `control` says stop. When the disk is full,
  // makes room and tries once more; a file that does not fit then leaves
  // nothing.
  // Errors: CANCELLED when stopped; INVALID_ARGUMENT for a malformed digest;
  // NOT_FOUND when the coordinator has no such artifact; those of the disk.
  absl::StatusOr<std::string> Get(const v1::ArtifactRef& artifact,
                                  AttemptControl& control);

 private:
  absl::Status Fetch(const v1::ArtifactRef& artifact, const std::string& path,
                     AttemptControl& control);

  // Drops files until at most `limit_bytes` are left. Returns how many.
  int Evict(int64_t limit_bytes);

  const std::string folder_;
  const int64_t max_bytes_;
  const absl::Duration kept_for_;
  WorkerApi& api_;  // Borrowed; outlives this.
  absl::Mutex mu_;
  // Size and time of the last write (ns) of a file that this daemon has
  // checked, by digest. Attempts link to the file itself, and a user's program
  // of sufficient rights may write into it.
  using Stamp = std::pair<int64_t, int64_t>;
  std::map<std::string, Stamp> checked_ ABSL_GUARDED_BY(mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_DATASET_CACHE_H_
