// The part of JobQueue that keeps workers from leases: a person drains one, or
// it was found to be broken and is in quarantine.
//
// A hold is on the worker's name and lasts, across restarts of either side,
// until a person undrains it. What runs there is told to write a checkpoint and
// comes back uncharged (job_queue_workers.cc).
//
// Quarantine has two reasons. Either the worker says by itself that it cannot
// run attempts (a fault in its heartbeat, an attempt that ended with
// FAILURE_KIND_WORKER), or what fails on it runs well elsewhere, see
// worker_health.h. Charges of the attempts that led to the second are taken
// back in the transaction that finds it.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/near_misses.h"
#include "coordinator/queue/report_limits.h"

namespace foldfarm {
namespace {

// From so many attempts on, those that are lost count whoever comes back: the
// job may be what keeps its workers from saying that they live.
constexpr int kMostForgiven = 20;

}  // namespace

absl::Status JobQueue::CheckWorkerName(const std::string& name) const {
  std::vector<std::string> names;
  {
    absl::MutexLock lock(&mu_);
    if (holds_.count(name) > 0) return absl::OkStatus();
    for (const auto& [session, worker] : workers_) {
      if (worker.row.name == name) return absl::OkStatus();
      names.push_back(worker.row.name);
    }
  }
  std::sort(names.begin(), names.end());
  const std::string near = NearMisses(name, names);
  return absl::NotFoundError(
      absl::StrCat("no worker \"", name, "\"",
                   near.empty() ? "; foldfarm workers lists them" : near));
}

absl::Status JobQueue::DrainWorker(const std::string& name,
                                   const std::string& reason) {
  return store_.RunAndWait([&](Tx& tx) -> absl::Status {
    FOLDFARM_RETURN_IF_ERROR(CheckWorkerName(name));
    std::string why = CleanText(reason, kMaxReason);
    if (why.empty()) {
      // Who drains it again and says nothing takes nothing back.
      absl::MutexLock lock(&mu_);
      const auto hold = holds_.find(name);
      if (hold != holds_.end() && !hold->second.quarantined) {
        why = hold->second.reason;
      }
    }
    return Hold(tx, {.name = name,
                     .quarantined = false,
                     .reason = std::move(why),
                     .time = clock_.Now()});
  });
}

absl::Status JobQueue::UndrainWorker(const std::string& name) {
  return store_.RunAndWait([&](Tx& tx) -> absl::Status {
    FOLDFARM_RETURN_IF_ERROR(CheckWorkerName(name));
    FOLDFARM_RETURN_IF_ERROR(tx.DropWorkerHold(name));
    health_.Forget(name);
    absl::MutexLock lock(&mu_);
    if (holds_.erase(name) == 0) return absl::OkStatus();
    SPDLOG_INFO("worker={} undrained", name);
    TellWorkers(name);
    return absl::OkStatus();
  });
}

absl::Status JobQueue::Hold(Tx& tx, WorkerHoldRow row) {
  FOLDFARM_RETURN_IF_ERROR(tx.SetWorkerHold(row));
  SPDLOG_WARN("worker={} {}{}{}", row.name,
              row.quarantined ? "in quarantine" : "drained by a person",
              row.reason.empty() ? "" : ": ", row.reason);
  absl::MutexLock lock(&mu_);
  for (const auto& [session, worker] : workers_) {
    if (worker.row.name == row.name) index_.EndReservationsOf(session);
  }
  TellWorkers(row.name);
  holds_[row.name] = std::move(row);
  return absl::OkStatus();
}

void JobQueue::TellWorkers(const std::string& name) {
  for (const auto& [session, worker] : workers_) {
    if (worker.row.name == name) news_.insert(session);
  }
}

absl::Status JobQueue::Quarantine(Tx& tx, const std::string& worker,
                                  const std::string& reason) {
  {
    // The first reason is the one that a person has to look at.
    absl::MutexLock lock(&mu_);
    const auto held = holds_.find(worker);
    if (held != holds_.end() && held->second.quarantined) {
      return absl::OkStatus();
    }
  }
  health_.Forget(worker);
  return Hold(tx, {.name = worker,
                   .quarantined = true,
                   .reason = CleanText(reason, kMaxReason),
                   .time = clock_.Now()});
}

absl::Status JobQueue::NoteFailedAttempt(Tx& tx, const AttemptRow& attempt,
                                         const JobRow& job) {
  const std::vector<WorkerHealth::Failure> guilty = health_.NoteFailure(
      attempt.worker, {.token = attempt.token,
                       .job = job.id,
                       .model = {job.sweep, job.model_index},
                       .time = clock_.Now()});
  if (guilty.empty()) return absl::OkStatus();
  std::vector<std::string> names;
  for (const WorkerHealth::Failure& failure : guilty) {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string name, TakeBack(tx, failure));
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  }
  return Quarantine(
      tx, attempt.worker,
      absl::StrCat(names.size(), " jobs failed here within ",
                   absl::FormatDuration(WorkerHealth::kWindow),
                   " while other workers ran their sweep well: ",
                   absl::StrJoin(names, ", "), "; last: ", attempt.error));
}

absl::StatusOr<std::string> JobQueue::TakeBack(
    Tx& tx, const WorkerHealth::Failure& failure) {
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<AttemptRow> attempt,
                            tx.FindAttempt(failure.token));
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> job, tx.FindJob(failure.job));
  if (!attempt.has_value() || !job.has_value()) {
    return absl::DataLossError(absl::StrCat(
        "database: attempt ", failure.token.value, " or its job is missing"));
  }
  std::string name = JobName(job->sweep, job->model, job->fold);
  if (attempt->uncharged) return name;
  attempt->uncharged = true;
  FOLDFARM_RETURN_IF_ERROR(tx.UpdateAttempt(*attempt));
  // A person who retried the job took the charges back before.
  if (job->failed_count == 0) return name;
  --job->failed_count;
  if (job->state == v1::Job::FAILED && job->token == failure.token) {
    FOLDFARM_RETURN_IF_ERROR(Reopen(
        tx, *job, absl::StrCat("worker ", attempt->worker, " was broken")));
    return name;
  }
  job->change = ++last_change_;
  changed_ = true;
  FOLDFARM_RETURN_IF_ERROR(tx.UpdateJob(*job, job->token));
  return name;
}

absl::Status JobQueue::ForgiveLoss(Tx& tx, WorkerSession session,
                                   FencingToken token) {
  std::string worker;
  {
    absl::MutexLock lock(&mu_);
    const auto it = workers_.find(session);
    if (it == workers_.end()) return absl::OkStatus();
    worker = it->second.row.name;
  }
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<AttemptRow> attempt,
                            tx.FindAttempt(token));
  if (!attempt.has_value() || attempt->state != v1::Attempt::LOST ||
      attempt->worker != worker || attempt->uncharged) {
    return absl::OkStatus();
  }
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> job,
                            tx.FindJob(attempt->job));
  if (!job.has_value() || job->lost_count == 0 ||
      job->attempt_count >= kMostForgiven) {
    return absl::OkStatus();
  }
  attempt->uncharged = true;
  FOLDFARM_RETURN_IF_ERROR(tx.UpdateAttempt(*attempt));
  --job->lost_count;
  const std::string why =
      absl::StrCat("worker ", worker, " came back with attempt ", token.value,
                   ": it was cut off, not lost");
  if (job->state == v1::Job::FAILED) {
    FOLDFARM_ASSIGN_OR_RETURN(const std::optional<AttemptRow> newest,
                              tx.FindAttempt(job->token));
    // It failed because it was lost too often, and no longer was.
    if (newest.has_value() && newest->state == v1::Attempt::LOST) {
      return Reopen(tx, *job, why);
    }
  }
  SPDLOG_INFO("job={} {}", JobName(job->sweep, job->model, job->fold), why);
  job->change = ++last_change_;
  changed_ = true;
  return tx.UpdateJob(*job, job->token);
}

absl::Status JobQueue::Reopen(Tx& tx, JobRow& job, const std::string& why) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> sweep,
                            LoadSweep(tx, job.sweep));
  job.not_before = absl::InfinitePast();
  job.error.clear();
  FOLDFARM_RETURN_IF_ERROR(
      ChangeJob(tx, job, JobEvent::kReopen, job.token, why));
  Offer(job, sweep->spec.priority());
  return absl::OkStatus();
}

FarmLoad JobQueue::Load() const {
  FarmLoad farm;
  farm.now = clock_.Now();
  farm.ready_by_priority = index_.ReadyByPriority();
  const std::map<JobId, JobIndex::Reservation> reservations =
      index_.Reservations();
  absl::MutexLock lock(&mu_);
  absl::flat_hash_map<WorkerSession, int> busy;
  for (const auto& [token, lease] : leases_) {
    busy[lease.session] += lease.slots;
  }
  for (const auto& [session, worker] : workers_) {
    if (worker.draining ||
        farm.now - worker.last_heard >= options_.lease_duration) {
      continue;
    }
    if (holds_.count(worker.row.name) > 0) {
      farm.others_are_held = true;
      continue;
    }
    FarmLoad::Worker& one = farm.workers.emplace_back();
    one.name = worker.row.name;
    one.slots = worker.row.slots;
    one.free_slots = worker.row.slots - busy[session];
    one.allow_exec = worker.row.allow_exec;
    for (const auto& [job, reservation] : reservations) {
      if (reservation.session != session) continue;
      one.reserved_job = job;
      one.reserved_slots = reservation.slots;
    }
  }
  farm.too_long = too_long_;
  return farm;
}

std::string JobQueue::WaitingReason(const JobRow& job, int priority,
                                    const FarmLoad& farm) const {
  if (job.state != v1::Job::PENDING) return "";
  if (job.paused) return "it is paused; foldfarm resume lets it go on";
  std::string held_back = HeldBack(job);
  return !held_back.empty() ? held_back : WaitingReasonOf(job, priority, farm);
}

}  // namespace foldfarm
