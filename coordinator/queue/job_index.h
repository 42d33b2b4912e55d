// Which job is next: the ready jobs of all sweeps in memory, in the order in
// which they are leased.
//
// Order: the sweep of highest priority; among equals the one with the fewest
// running slots (fair share), then the older; within a sweep its own order. A
// job that does not fit into the free slots, or that runs a user's program
// where the worker does not, is passed over.
//
// Derived from the job table and rebuilt from it at any time. Not thread-safe,
// but for ReadyByPriority().
#ifndef FOLDFARM_COORDINATOR_QUEUE_JOB_INDEX_H_
#define FOLDFARM_COORDINATOR_QUEUE_JOB_INDEX_H_

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
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
    // Runs a user's program.
    bool needs_exec = false;
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

  // Whether no job is ready for a worker that runs users' programs, or not.
  bool empty(bool allow_exec = true) const {
    return ready_ == 0 && (!allow_exec || ready_exec_ == 0);
  }

  // Takes the next job that fits; it counts as running from here.
  std::optional<Entry> Take(int free_slots, bool allow_exec = true);

  // How many jobs are ready, by their sweep's priority. Thread-safe: what
  // people are told of a transaction that is under way may be undone.
  std::map<int, int> ReadyByPriority() const;

 private:
  // By slots, then by place.
  using ReadyJobs = std::map<int, std::map<int, Entry>>;
  struct SweepState {
    int priority = 0;
    int running_slots = 0;
    ReadyJobs ready;
    // Those that run users' programs stand apart: no other worker looks at
    // them.
    ReadyJobs ready_exec;
    ReadyJobs& ReadyFor(const Entry& entry) {
      return entry.needs_exec ? ready_exec : ready;
    }
  };
  void AddReady(const Entry& entry);
  // The first job of `jobs` that fits and comes before that of `best`, which
  // may be null; else `best`.
  static std::map<int, Entry>* First(ReadyJobs& jobs, int free_slots,
                                     std::map<int, Entry>* best);
  void Count(const Entry& entry, int change);

  std::map<SweepId, SweepState> sweeps_;
  std::multimap<absl::Time, Entry> waiting_;
  // Ready jobs, without and with programs of users.
  int ready_ = 0;
  int ready_exec_ = 0;

  mutable absl::Mutex mu_;
  std::map<int, int> ready_by_priority_ ABSL_GUARDED_BY(mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_JOB_INDEX_H_
