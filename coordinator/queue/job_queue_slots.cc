// The part of JobQueue that estimates how long jobs take, and decides by it
// which worker keeps its free slots for a job that needs several.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "common/base/status_macros.h"
#include "coordinator/queue/job_queue.h"

namespace foldfarm {
namespace {

// How long slots are kept after the worker last asked: longer than it waits for
// an answer.
constexpr absl::Duration kReservation = absl::Seconds(90);
// Who keeps slots is asked about anew only after so long.
constexpr absl::Duration kReservationCheck = absl::Seconds(30);

// A worker that could take the job.
struct Candidate {
  int free_slots = 0;
  absl::Time stop_time;
  std::vector<std::pair<JobId, int>> running;  // And their slots.
};

}  // namespace

absl::Duration JobQueue::TimeLeft(const JobRow& job) const {
  double per_epoch = job.seconds_per_epoch;
  if (per_epoch <= 0) {
    const auto pace = pace_.find({job.sweep, job.model_index});
    if (pace == pace_.end()) return absl::InfiniteDuration();
    per_epoch = pace->second;
  }
  return absl::Seconds(per_epoch * std::max(0, job.epochs - job.epoch));
}

absl::Duration JobQueue::TimeToCheckpoint(const JobRow& job,
                                          const SweepData& sweep) const {
  const auto pace = pace_.find({job.sweep, job.model_index});
  if (pace == pace_.end()) return absl::ZeroDuration();
  const double per_epoch = pace->second;
  double seconds = per_epoch * std::max(0, job.epochs - job.checkpoint_epoch);
  const v1::TrainSpec& train = ModelOf(job, sweep.spec).train();
  if (train.checkpoint_epochs() > 0) {
    seconds = std::min(seconds, per_epoch * train.checkpoint_epochs());
  }
  if (train.checkpoint_minutes() > 0) {
    // Taken at the end of the epoch in which it is due.
    seconds = std::min(seconds, 60 * train.checkpoint_minutes() + per_epoch);
  }
  return absl::Seconds(seconds);
}

absl::StatusOr<bool> JobQueue::ReserveSlots(Tx& tx,
                                            const JobIndex::Entry& entry,
                                            const JobRow& job,
                                            const SweepData& sweep,
                                            WorkerSession asker) {
  const absl::Time now = clock_.Now();
  const std::map<JobId, JobIndex::Reservation> reservations =
      index_.Reservations();
  const auto known = reservations.find(entry.job);
  const bool is_kept = known != reservations.end() &&
                       known->second.session == asker &&
                       known->second.until > now;
  if (is_kept && known->second.until - now > kReservation - kReservationCheck) {
    return true;
  }
  std::map<WorkerSession, Candidate> candidates;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [session, worker] : workers_) {
      if (worker.row.slots < entry.slots || worker.draining ||
          (entry.needs_exec && !worker.row.allow_exec) ||
          now - worker.last_heard >= options_.lease_duration ||
          holds_.count(worker.row.name) > 0) {
        continue;
      }
      Candidate& candidate = candidates[session];
      candidate.free_slots = worker.row.slots;
      candidate.stop_time = worker.row.stop_time;
    }
    for (const auto& [token, lease] : leases_) {
      const auto candidate = candidates.find(lease.session);
      if (candidate == candidates.end()) continue;
      candidate->second.free_slots -= lease.slots;
      candidate->second.running.emplace_back(lease.job, lease.slots);
    }
  }
  // A worker keeps its slots for one job.
  for (const auto& [other, reservation] : reservations) {
    if (other != entry.job && reservation.priority >= entry.priority) {
      candidates.erase(reservation.session);
    }
  }
  std::optional<WorkerSession> soonest;
  absl::Duration least = absl::InfiniteDuration();
  for (const auto& [session, candidate] : candidates) {
    std::vector<std::pair<absl::Duration, int>> ends;
    for (const auto& [running, slots] : candidate.running) {
      FOLDFARM_ASSIGN_OR_RETURN(const std::optional<JobRow> row,
                                tx.FindJob(running));
      if (row.has_value()) ends.emplace_back(TimeLeft(*row), slots);
    }
    std::sort(ends.begin(), ends.end());
    int free_slots = candidate.free_slots;
    absl::Duration wait;
    for (const auto& [left, slots] : ends) {
      if (free_slots >= entry.slots) break;
      free_slots += slots;
      wait = left;
    }
    if (candidate.stop_time != absl::InfinitePast() &&
        now + wait + TimeToCheckpoint(job, sweep) > candidate.stop_time) {
      continue;
    }
    // Where nobody knows, who asks, or keeps slots already.
    if (!soonest.has_value() || wait < least ||
        (wait == least && session == asker)) {
      soonest = session;
      least = wait;
    }
  }
  if (!soonest.has_value()) return false;
  index_.Reserve(entry, *soonest, now + kReservation);
  return *soonest == asker;
}

}  // namespace foldfarm
