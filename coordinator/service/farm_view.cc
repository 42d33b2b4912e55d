#include "coordinator/service/farm_view.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/proto_time.h"
#include "common/base/status_macros.h"
#include "coordinator/queue/near_misses.h"

namespace foldfarm {
namespace {

bool IsSet(absl::Time time) { return time != absl::InfinitePast(); }

}  // namespace

absl::StatusOr<SweepRow> ResolveSweep(const Reader& reader,
                                      const std::string& name) {
  std::vector<SweepId> ids;
  if (const auto id = ParseSweepName(name); id.has_value()) {
    ids.push_back(*id);
  } else {
    FOLDFARM_ASSIGN_OR_RETURN(ids, reader.FindSweepsByName(name));
  }
  if (ids.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        ids.size(), " sweeps are named \"", name, "\"; name one by its id: ",
        absl::StrJoin(ids, ", ", [](std::string* out, SweepId id) {
          out->append(SweepName(id));
        })));
  }
  if (ids.size() == 1) {
    FOLDFARM_ASSIGN_OR_RETURN(std::optional<SweepRow> row,
                              reader.FindSweep(ids[0]));
    if (row.has_value()) return *std::move(row);
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<SweepRow> all,
                            reader.ListSweeps());
  std::vector<std::string> candidates;
  for (const SweepRow& row : all) {
    candidates.push_back(SweepName(row.id));
    candidates.push_back(row.name);
  }
  return absl::NotFoundError(
      absl::StrCat("no sweep \"", name, "\"", NearMisses(name, candidates)));
}

absl::Status CheckTrains(const SweepRow& sweep) {
  if (!sweep.spec.has_prediction()) return absl::OkStatus();
  const std::string id = SweepName(sweep.id);
  const std::string& source = sweep.spec.prediction().source();
  return absl::FailedPreconditionError(absl::StrCat(
      "sweep ", id, " predicts ", sweep.spec.prediction().samples(), " with ",
      source,
      " and has no out-of-fold predictions to score; name the sweep that "
      "trained, or write its predictions with foldfarm predict ",
      source));
}

absl::StatusOr<JobRow> ResolveJob(const Reader& reader,
                                  const std::string& name) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  int fold = 0;
  if (parts.size() != 3 || !absl::SimpleAtoi(parts[2], &fold)) {
    return absl::InvalidArgumentError(
        absl::StrCat("job name is \"", name,
                     "\", expected SWEEP/MODEL/FOLD, e.g. s3/130_gru/0"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const SweepRow sweep,
                            ResolveSweep(reader, parts[0]));
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> row,
                            reader.FindJob(sweep.id, parts[1], fold));
  if (row.has_value()) return *std::move(row);
  std::vector<std::string> candidates;
  for (const v1::ModelSpec& model : sweep.spec.models()) {
    candidates.push_back(model.name());
  }
  if (std::find(candidates.begin(), candidates.end(), parts[1]) !=
      candidates.end()) {
    return absl::NotFoundError(
        absl::StrCat("no job \"", name, "\": sweep ", SweepName(sweep.id),
                     " has ", sweep.spec.has_prediction() ? "parts" : "folds",
                     " 0 to ", sweep.folds - 1));
  }
  return absl::NotFoundError(absl::StrCat(
      "no job \"", name, "\": sweep ", SweepName(sweep.id), " has no model \"",
      parts[1], "\"", NearMisses(parts[1], candidates)));
}

v1::Sweep ToSweep(const SweepRow& row, const SweepCounts& counts,
                  bool with_spec) {
  v1::Sweep sweep;
  sweep.set_id(SweepName(row.id));
  sweep.set_name(row.name);
  sweep.set_dataset(row.dataset.name());
  SetTime(row.create_time, sweep.mutable_create_time());
  sweep.set_pending(counts.pending);
  sweep.set_running(counts.running);
  sweep.set_succeeded(counts.succeeded);
  sweep.set_failed(counts.failed);
  sweep.set_cancelled(counts.cancelled);
  sweep.set_models(row.models);
  sweep.set_folds(row.folds);
  sweep.set_priority(row.priority);
  if (counts.pending + counts.running > 0) {
    const bool begun = counts.pending < counts.total();
    sweep.set_state(begun ? v1::Sweep::RUNNING : v1::Sweep::PENDING);
    sweep.set_paused(counts.paused == counts.pending + counts.running);
  } else {
    sweep.set_state(counts.failed > 0                   ? v1::Sweep::FAILED
                    : counts.cancelled > counts.dropped ? v1::Sweep::CANCELLED
                                                        : v1::Sweep::SUCCEEDED);
    if (IsSet(counts.end_time)) {
      SetTime(counts.end_time, sweep.mutable_end_time());
    }
  }
  std::vector<std::string> notes;
  if (!row.spec.extends().empty()) {
    notes.push_back(absl::StrCat("extends ", row.spec.extends()));
  }
  for (const std::string& note : {row.screened, row.stopped}) {
    if (!note.empty()) notes.push_back(note);
  }
  sweep.set_note(absl::StrJoin(notes, "; "));
  if (row.spec.has_prediction()) {
    sweep.set_prediction(absl::StrCat(row.spec.prediction().samples(), " with ",
                                      row.spec.prediction().source()));
  }
  if (with_spec) *sweep.mutable_spec() = row.spec;
  return sweep;
}

v1::Job ToJob(const JobRow& row, int priority, const std::string& reused_from) {
  v1::Job job;
  job.set_name(JobName(row.sweep, row.model, row.fold));
  job.set_state(row.state);
  job.set_sweep(SweepName(row.sweep));
  job.set_model(row.model);
  job.set_fold(row.fold);
  job.set_attempt_count(row.attempt_count);
  job.set_failed_count(row.failed_count);
  job.set_lost_count(row.lost_count);
  job.set_epoch(row.epoch);
  job.set_epochs(row.epochs);
  if (row.log_loss.has_value()) job.set_log_loss(*row.log_loss);
  job.set_error(row.error);
  job.set_worker(row.worker);
  SetTime(row.create_time, job.mutable_create_time());
  if (IsSet(row.start_time)) SetTime(row.start_time, job.mutable_start_time());
  if (IsSet(row.end_time)) SetTime(row.end_time, job.mutable_end_time());
  if (IsSet(row.not_before)) {
    SetTime(row.not_before, job.mutable_not_before_time());
  }
  job.set_priority(priority);
  job.set_slots(row.slots);
  job.set_reused_from(reused_from);
  job.set_seconds_per_epoch(row.seconds_per_epoch);
  job.set_paused(row.paused && !IsFinal(row.state));
  return job;
}

absl::StatusOr<v1::Job> ViewJob(const Reader& reader, const JobRow& row,
                                int priority) {
  std::string reused_from;
  if (row.reused_from.value != 0) {
    FOLDFARM_ASSIGN_OR_RETURN(const std::optional<JobRow> source,
                              reader.FindJob(row.reused_from));
    if (source.has_value()) {
      reused_from = JobName(source->sweep, source->model, source->fold);
    }
  }
  return ToJob(row, priority, reused_from);
}

v1::Attempt ToAttempt(const AttemptRow& row,
                      const std::optional<HeldLease>& lease) {
  v1::Attempt attempt;
  attempt.set_token(row.token.value);
  attempt.set_number(row.number);
  attempt.set_state(row.state);
  attempt.set_worker(row.worker);
  attempt.set_device(row.device);
  SetTime(row.start_time, attempt.mutable_start_time());
  if (IsSet(row.end_time)) SetTime(row.end_time, attempt.mutable_end_time());
  SetTime(lease.has_value() ? lease->until : row.lease_until,
          attempt.mutable_lease_expire_time());
  const absl::Time heartbeat =
      lease.has_value() ? lease->heartbeat : row.heartbeat_time;
  if (IsSet(heartbeat)) {
    SetTime(heartbeat, attempt.mutable_last_heartbeat_time());
  }
  attempt.set_exit_status(row.exit_status);
  attempt.set_signal(row.signal);
  attempt.set_error(row.error);
  attempt.set_resumed_epoch(row.resumed_epoch);
  for (const std::string& line : row.log_tail) attempt.add_log_tail(line);
  attempt.set_uncharged(row.uncharged);
  attempt.set_peak_memory_bytes(lease.has_value()
                                    ? lease->usage.peak_memory_bytes()
                                    : row.peak_memory_bytes);
  attempt.set_cpu_seconds(lease.has_value() ? lease->usage.cpu_seconds()
                                            : row.cpu_seconds);
  return attempt;
}

std::vector<v1::Worker> ViewWorkers(const JobQueue& queue, absl::Time now) {
  std::map<WorkerSession, std::vector<HeldLease>> held;
  for (auto& [token, lease] : queue.Leases()) {
    held[lease.session].push_back(lease);
  }
  std::vector<v1::Worker> workers;
  for (const WorkerView& view : queue.Workers()) {
    v1::Worker& worker = workers.emplace_back();
    worker.set_name(view.row.name);
    worker.set_host(view.row.host);
    for (const std::string& device : view.row.devices) {
      worker.add_devices(device);
    }
    worker.set_slots(view.row.slots);
    worker.set_version(view.row.version);
    worker.set_allow_exec(view.row.allow_exec);
    SetTime(view.row.start_time, worker.mutable_start_time());
    if (IsSet(view.last_heard)) {
      SetTime(view.last_heard, worker.mutable_last_heartbeat_time());
    }
    const bool online = now - view.last_heard < queue.options().lease_duration;
    const bool quarantined = view.hold.has_value() && view.hold->quarantined;
    const bool drained = view.draining || view.hold.has_value();
    // What a person has to look at shows, whether it runs or not.
    worker.set_state(quarantined ? v1::Worker::QUARANTINED
                     : !online   ? v1::Worker::OFFLINE
                     : drained   ? v1::Worker::DRAINING
                                 : v1::Worker::ONLINE);
    if (view.hold.has_value()) {
      worker.set_state_reason(view.hold->reason.empty() ? "drained by a person"
                                                        : view.hold->reason);
    } else if (online && view.draining) {
      worker.set_state_reason("it was told to stop");
    }
    if (IsSet(view.row.stop_time)) {
      SetTime(view.row.stop_time, worker.mutable_stop_time());
    }
    int busy = 0;
    std::vector<std::string> jobs;
    for (const HeldLease& lease : held[view.row.session]) {
      busy += lease.slots;
      worker.set_memory_bytes(worker.memory_bytes() +
                              lease.usage.memory_bytes());
      worker.set_cpus(worker.cpus() + lease.cpus);
      jobs.push_back(lease.job_name);
    }
    std::sort(jobs.begin(), jobs.end());
    for (std::string& job : jobs) worker.add_jobs(std::move(job));
    worker.set_busy_slots(busy);
  }
  return workers;
}

}  // namespace foldfarm
