#include "coordinator/queue/waiting_reason.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

std::string Slots(int slots) {
  return absl::StrCat(slots, slots == 1 ? " slot" : " slots");
}

std::string ClockTime(absl::Time time) {
  return absl::FormatTime("%H:%M:%S UTC", time, absl::UTCTimeZone());
}

}  // namespace

std::string WaitingReasonOf(const JobRow& job, int priority,
                            const FarmLoad& farm) {
  if (job.not_before > farm.now) {
    return absl::StrCat("backoff after a failed attempt until ",
                        ClockTime(job.not_before));
  }
  if (farm.workers.empty()) {
    if (!farm.others_are_held) return "no worker is online";
    return "all workers online are drained or in quarantine, see foldfarm "
           "workers";
  }
  int most = -1;
  int most_free = -1;
  const FarmLoad::Worker* keeps_for_another = nullptr;
  for (const FarmLoad::Worker& worker : farm.workers) {
    if (job.needs_exec && !worker.allow_exec) continue;
    most = std::max(most, worker.slots);
    if (worker.reserved_job == job.id) {
      return absl::StrCat("worker ", worker.name,
                          " keeps its free slots for it, ", worker.free_slots,
                          " of ", job.slots, " so far");
    }
    if (!worker.reserved_job.has_value()) {
      most_free = std::max(most_free, worker.free_slots);
    } else if (worker.free_slots >= job.slots) {
      keeps_for_another = &worker;
    }
  }
  if (most < 0) {
    return "it runs a user's program and no worker online was started with "
           "--allow-exec";
  }
  if (most < job.slots) {
    return absl::StrCat("it needs ", Slots(job.slots),
                        " and the largest worker online that may take it has ",
                        most);
  }
  int before = 0;
  for (auto it = farm.ready_by_priority.upper_bound(priority);
       it != farm.ready_by_priority.end(); ++it) {
    before += it->second;
  }
  if (before > 0) {
    return absl::StrCat("behind ", before, before == 1 ? " job" : " jobs",
                        " of higher priority");
  }
  if (const auto it = farm.too_long.find(job.id);
      it != farm.too_long.end() && it->second.stop_time > farm.now) {
    return absl::StrCat("worker ", it->second.worker, " stops at ",
                        ClockTime(it->second.stop_time),
                        ", before the job would reach a checkpoint");
  }
  if (most_free < job.slots && keeps_for_another != nullptr) {
    return absl::StrCat("worker ", keeps_for_another->name,
                        " keeps its free slots for a job that needs ",
                        keeps_for_another->reserved_slots);
  }
  if (most_free < job.slots) {
    return absl::StrCat("no worker has ", Slots(job.slots), " free");
  }
  return "";
}

}  // namespace foldfarm
