// Why a job that could run does not, in words for people.
#ifndef FOLDFARM_COORDINATOR_QUEUE_WAITING_REASON_H_
#define FOLDFARM_COORDINATOR_QUEUE_WAITING_REASON_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "coordinator/store/rows.h"

namespace foldfarm {

// A worker with a time limit.
struct LeftByWorker {
  std::string worker;
  absl::Time stop_time;
};

// The farm at a moment, as far as it decides who waits.
struct FarmLoad {
  // A worker that is online and gets leases.
  struct Worker {
    int slots = 0;
    int free_slots = 0;
    bool allow_exec = false;
    std::string name;
    // The job that it keeps its free slots for, and how many that needs.
    std::optional<JobId> reserved_job;
    int reserved_slots = 0;
  };
  absl::Time now = absl::InfinitePast();
  std::vector<Worker> workers;
  // Others are online and get no leases: drained or in quarantine.
  bool others_are_held = false;
  // Jobs that are ready, by their sweep's priority.
  std::map<int, int> ready_by_priority;
  // Jobs that a worker left lying because it stops before they would reach a
  // checkpoint.
  absl::flat_hash_map<JobId, LeftByWorker> too_long;
};

// Why `job`, PENDING and of a sweep of `priority`, is not running; empty when
// it is next.
std::string WaitingReasonOf(const JobRow& job, int priority,
                            const FarmLoad& farm);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_WAITING_REASON_H_
