// Whether the coordinator can do its work: what /healthz answers.
#ifndef FOLDFARM_COORDINATOR_WEB_HEALTH_H_
#define FOLDFARM_COORDINATOR_WEB_HEALTH_H_

#include <memory>
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

  // Puts a transaction through the store's writer that writes a small file.
  // Asked more often than once a second, it repeats its last answer. Touches no
  // disk on this thread: one that hangs holds nobody here for more than 2 s,
  // and whoever asks after that not at all.
  // Errors: UNAVAILABLE when the writer does not answer within 2 s; those of
  // the database and of the disk.
  absl::Status Check();

 private:
  // The newest probe. Outlives this when the writer answers late.
  struct Probe {
    absl::Mutex mu;
    absl::CondVar answered;
    absl::Duration begin ABSL_GUARDED_BY(mu) = -absl::InfiniteDuration();
    bool running ABSL_GUARDED_BY(mu) = false;
    absl::Status last ABSL_GUARDED_BY(mu);
  };

  void Begin();

  Store& store_;
  Clock& clock_;
  const std::string directory_;
  const std::shared_ptr<Probe> probe_ = std::make_shared<Probe>();
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_HEALTH_H_
