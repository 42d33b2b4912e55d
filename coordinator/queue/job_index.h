// Which job is next: the ready jobs of all sweeps in memory, in the order in
// which they are leased.
//
// Order: the sweep of highest priority; among equals the one with the fewest
// running slots (fair share), then the older; within a sweep its own order. A
// job that does not fit into the free slots is passed over.
//
// Derived from the job table and rebuilt from it at any time. Not thread-safe.
#ifndef FOLDFARM_COORDINATOR_QUEUE_JOB_INDEX_H_
#define FOLDFARM_COORDINATOR_QUEUE_JOB_INDEX_H_

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/time/time.h"
#include "common/base/ids.h"

namespace foldfarm {

class JobIndex {
 public:
  struct Entry {
    JobId job;
    SweepId sweep;
    int priority = 0;
    // Place in the sweep's order.
    int position = 0;
    int slots = 1;
    // Not ready before.
    absl::Time not_before = absl::InfinitePast();
  };

  void Clear();

  // A job became PENDING.
  void Add(const Entry& entry);
  // A PENDING job was cancelled.
  void Remove(const Entry& entry);

  // A job became or ceased to be RUNNING, without Take().
  void AddRunning(SweepId sweep, int priority, int slots);
  void EndRunning(SweepId sweep, int slots);

  // Makes the jobs ready whose time has come.
  void Wake(absl::Time now);
  // When the next job becomes ready by itself.
  absl::Time NextWake() const;

  bool empty() const { return ready_ == 0; }

  // Takes the next job that fits; it counts as running from here.
  std::optional<Entry> Take(int free_slots);

 private:
  struct SweepState {
    int priority = 0;
    int running_slots = 0;
    // By slots, then by place.
    std::map<int, std::map<int, Entry>> ready;
  };
  void AddReady(const Entry& entry);

  std::map<SweepId, SweepState> sweeps_;
  std::multimap<absl::Time, Entry> waiting_;
  int ready_ = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_JOB_INDEX_H_
