// Whether the coordinator can do its work: what /healthz answers.
#ifndef FOLDFARM_COORDINATOR_WEB_HEALTH_H_
#define FOLDFARM_COORDINATOR_WEB_HEALTH_H_

#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "coordinator/store/store.h"

namespace foldfarm {

// Thread-safe.
class Health {
 public:
  // `store` and `clock` are borrowed; `directory` is the coordinator's.
  Health(Store& store, Clock& clock, std::string directory)
      : store_(store), clock_(clock), directory_(std::move(directory)) {}

  // Puts a transaction through the store's writer and writes a small file.
  // Asked more often than once a second, it repeats its last answer.
  // Errors: UNAVAILABLE when the writer does not answer within 2 s; those of
  // the database and of the disk.
  absl::Status Check();

 private:
  absl::Status Probe();

  Store& store_;
  Clock& clock_;
  const std::string directory_;

  absl::Mutex mu_;
  bool checked_ ABSL_GUARDED_BY(mu_) = false;
  absl::Duration checked_at_ ABSL_GUARDED_BY(mu_);
  absl::Status last_ ABSL_GUARDED_BY(mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_HEALTH_H_
