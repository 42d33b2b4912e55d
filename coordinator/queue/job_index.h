// Which job is next: the ready jobs of all sweeps in memory, in the order in
// which they are leased.
//
// Order: the sweep of highest priority; among equals the one with the fewest
// slots, running or kept for it (fair share), then the older; within a sweep
// its own order. A job that does not fit into the free slots gives way to
// others of its sweep, but not to other sweeps for ever: a worker with slots
// enough keeps the free ones for it (a reservation, one a sweep and one a
// worker) until there are as many as it needs. What a worker has begun to keep
// it keeps, until a sweep of higher priority comes. A job that runs a user's
// program where the worker does not is passed over.
//
// Derived from the job table and rebuilt from it at any time; reservations are
// in memory alone. Not thread-safe, but for ReadyByPriority() and
// Reservations().
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

  // Who asks for a job.
  struct Asker {
    WorkerSession session;
    int free_slots = 1;
    // All that it has.
    int slots = 1;
    bool allow_exec = true;
  };
  // A worker that keeps its free slots for a job.
  struct Reservation {
    WorkerSession session;
    SweepId sweep;
    int priority = 0;
    int slots = 0;
    absl::Time until;
  };

  void Clear();

  // A job became PENDING.
  void Add(const Entry& entry);
  // A PENDING job was cancelled.
  void Remove(const Entry& entry);

  // A job became or ceased to be RUNNING, without Take().
  void AddRunning(SweepId sweep, int priority, int slots);
  void EndRunning(SweepId sweep, int slots);

  // Makes the jobs ready whose time has come, and ends reservations of workers
  // that ask no more.
  void Wake(absl::Time now);
  // When it next has something to do.
  absl::Time NextWake() const;

  // Whether a job of the sweep is ready or runs; perhaps also soon after.
  bool Knows(SweepId sweep) const { return sweeps_.count(sweep) > 0; }

  // Whether no job is ready for a worker that runs users' programs, or not.
  bool empty(bool allow_exec = true) const {
    return ready_ == 0 && (!allow_exec || ready_exec_ == 0);
  }

  // Takes the next job; it counts as running from here. One that needs more
  // slots than are free is to be put back, and reserved for some worker.
  std::optional<Entry> Take(const Asker& asker);
  // Undoes Take().
  void PutBack(Entry entry);

  // `session` keeps its free slots for the job until `until`, and for no other.
  void Reserve(const Entry& entry, WorkerSession session, absl::Time until);
  // The job is leased.
  void EndReservation(JobId job);
  // The worker gets no leases any more.
  void EndReservationsOf(WorkerSession session);
  // The worker has registered anew.
  void MoveReservations(WorkerSession from, WorkerSession to);

  // How many jobs are ready, by their sweep's priority. Thread-safe: what
  // people are told of a transaction that is under way may be undone.
  std::map<int, int> ReadyByPriority() const;
  // Thread-safe.
  std::map<JobId, Reservation> Reservations() const;

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
  using Jobs = std::map<int, Entry>;
  // A job among those of its sweep and its slots.
  struct Place {
    Jobs* jobs = nullptr;  // Null: none.
    Jobs::iterator job;
  };
  void AddReady(const Entry& entry);
  // The first job of a sweep that fits; else, if the asker has slots enough and
  // nobody else keeps some for the sweep, the first that does not fit yet.
  Place Find(SweepId id, SweepState& sweep, const Asker& asker) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  static Place FindBySlots(SweepState& sweep, bool allow_exec, int more_than,
                           int at_most);
  // Whether another worker keeps slots for one of its jobs.
  bool IsKeptByOther(SweepId sweep, WorkerSession session) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Slots that a sweep has, or that other workers keep for it.
  int Share(SweepId sweep, const SweepState& state, WorkerSession asker) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Count(const Entry& entry, int change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::map<SweepId, SweepState> sweeps_;
  std::multimap<absl::Time, Entry> waiting_;
  // Ready jobs, without and with programs of users.
  int ready_ = 0;
  int ready_exec_ = 0;

  mutable absl::Mutex mu_;
  std::map<int, int> ready_by_priority_ ABSL_GUARDED_BY(mu_);
  std::map<JobId, Reservation> reservations_ ABSL_GUARDED_BY(mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_JOB_INDEX_H_
