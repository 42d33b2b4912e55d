// Sweeps and workers as they are now, for all pages that are open.
//
// A farm changes thousands of times a second and a page is told at most four
// times a second; so the lists are read once for all pages, at most as often,
// and less often where reading them takes long. Each entry carries the version
// at which it last changed, so that a page gets only what is new to it.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_WEB_FARM_FEED_H_
#define FOLDFARM_COORDINATOR_WEB_FARM_FEED_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/store/store.h"

namespace foldfarm {

class FarmFeed {
 public:
  // One sweep or worker.
  struct Entry {
    // Its proto3 JSON.
    std::string json;
    // Of the feed, when it last changed.
    int64_t version = 0;
    // What makes it another: `json` but for times of heartbeats.
    std::string essence;
  };
  struct Snapshot {
    int64_t version = 0;
    // The queue's count of changes when this was read.
    int64_t seen = 0;
    // Newest first, and by name.
    std::vector<Entry> sweeps;
    std::vector<Entry> workers;
  };

  // At most this often.
  static constexpr absl::Duration kInterval = absl::Milliseconds(250);

  // All are borrowed.
  FarmFeed(Store& store, JobQueue& queue, Clock& clock)
      : store_(store), queue_(queue), clock_(clock) {}

  // The newest snapshot; a new one if the last is kInterval old.
  absl::StatusOr<std::shared_ptr<const Snapshot>> Get();

 private:
  absl::StatusOr<std::shared_ptr<const Snapshot>> Read(int64_t seen)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Takes over the version that an entry had, if it is the same.
  void Add(const std::map<std::string, Entry>& former, const std::string& name,
           Entry entry, std::map<std::string, Entry>& entries,
           std::vector<Entry>& list) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  Store& store_;
  JobQueue& queue_;
  Clock& clock_;

  absl::Mutex mu_;
  std::shared_ptr<const Snapshot> snapshot_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Entry> sweeps_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Entry> workers_ ABSL_GUARDED_BY(mu_);
  int64_t version_ ABSL_GUARDED_BY(mu_) = 0;
  absl::Duration next_ ABSL_GUARDED_BY(mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_FARM_FEED_H_
