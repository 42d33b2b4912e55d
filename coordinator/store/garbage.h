// Deletes artifacts that nothing names any more.
//
// A file may be needed before the database names it: it was uploaded and the
// result is on its way. So young files are spared, and a file that somebody
// asked for is young again. What is still deleted too early is not lost: the
// call that names it is refused with "upload it and repeat", as names are
// checked in the transaction that writes them, and files go in two steps.
#ifndef FOLDFARM_COORDINATOR_STORE_GARBAGE_H_
#define FOLDFARM_COORDINATOR_STORE_GARBAGE_H_

#include <cstdint>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "coordinator/store/artifact_files.h"
#include "coordinator/store/store.h"

namespace foldfarm {

struct GarbageOptions {
  // Only count.
  bool dry_run = false;
  // Younger files are spared.
  absl::Duration min_age = absl::Hours(1);
};

struct GarbageReport {
  int64_t files = 0;
  // What an upload left that nobody goes on with counts, too.
  int64_t size_bytes = 0;
  int64_t kept_files = 0;
  int64_t kept_size_bytes = 0;
};

// Waits for the disk; not from within work of the store.
absl::StatusOr<GarbageReport> CollectGarbage(Store& store, ArtifactFiles& files,
                                             absl::Time now,
                                             const GarbageOptions& options);

// Collects at once and then every `interval`, until destroyed. The arguments
// are borrowed.
class GarbageThread {
 public:
  GarbageThread(Store& store, ArtifactFiles& files, Clock& clock,
                absl::Duration interval);
  ~GarbageThread();

 private:
  void Loop();

  Store& store_;
  ArtifactFiles& files_;
  Clock& clock_;
  const absl::Duration interval_;
  absl::Mutex mu_;
  absl::CondVar wake_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_GARBAGE_H_
