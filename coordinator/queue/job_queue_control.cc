// The part of JobQueue that does what people want of jobs that are there:
// retry, with other options if need be, pause, resume, another priority.
#include <optional>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/sweep/predict_alike.h"
#include "common/sweep/set_options.h"
#include "common/sweep/sweep.h"
#include "coordinator/queue/extension.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/sweep_plan.h"

namespace foldfarm {
namespace {

// `model` with the options of `overrides` changed.
// Errors: INVALID_ARGUMENT for what is no option of the model, or one that
// decides what its predictions are of.
absl::StatusOr<v1::ModelSpec> Override(
    const v1::ModelSpec& model, const std::vector<std::string>& overrides) {
  SweepErrors errors("--set");
  SetOptions options = ParseSetOptions(overrides, errors);
  v1::ModelSpec changed = model;
  if (errors.empty()) {
    options.ApplyTo(changed);
    // As when a sweep is submitted: stages are trained with their own.
    for (v1::StageSpec& stage : *changed.mutable_stages()) {
      options.ApplyTo(*stage.mutable_train());
    }
  }
  if (errors.empty()) options.ReportUnused(errors);
  FOLDFARM_RETURN_IF_ERROR(errors.ToStatus());
  if (options.sweep.ByteSizeLong() > 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--set ", absl::StrJoin(overrides, " "),
        ": changes the whole sweep; a job that is retried takes options of its "
        "model only, e.g. train.batch=4"));
  }
  // Files are found, and options completed, when a sweep is submitted.
  for (const SetOptions::OfModels& one : options.models) {
    const bool init = one.model.has_init();
    if (!init && one.model.stages().empty()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "--set ", one.text, ": a job that is retried keeps its ",
        init ? "init" : "stages", "; submit a sweep with another model"));
  }
  if (!PredictAlike(model, changed)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--set ", absl::StrJoin(overrides, " "),
        ": a job that is retried keeps its architecture, its labels and what "
        "it is fed (representation, augment), as all folds of a model predict "
        "alike; submit a sweep with another model"));
  }
  return changed;
}

// Refuses what the trainer would: fewer epochs than the checkpoint has that the
// job goes on from.
absl::Status CheckEpochsLeft(const RetryWish& wish, const JobRow& row,
                             const v1::ModelSpec& former,
                             const v1::ModelSpec& changed) {
  const int epochs = EpochsOf(changed);
  if (wish.from_scratch || epochs >= row.checkpoint_epoch ||
      epochs == EpochsOf(former)) {
    return absl::OkStatus();
  }
  const v1::ArchSpec& arch = changed.arch();
  // What counts the epochs of all stages, or of trees, has no one name.
  const absl::string_view what =
      arch.has_exec()                                   ? "arch.exec.epochs is "
      : !arch.has_xgboost() && changed.stages().empty() ? "train.epochs is "
                                                        : "its epochs are ";
  return absl::InvalidArgumentError(absl::StrCat(
      JobName(row.sweep, row.model, row.fold), ": its checkpoint is of epoch ",
      row.checkpoint_epoch, ", ", what, epochs, "; expected at least ",
      row.checkpoint_epoch, ", or say --from-scratch"));
}

// Changes of `row` what `wish` says of its options, and its key. `source` is
// what it trains on from, if it does. Writes nothing.
absl::Status ChangeOptions(const Reader& reader, const RetryWish& wish,
                           const SweepData& sweep,
                           const std::optional<SourceJob>& source,
                           JobRow& row) {
  const v1::ModelSpec former = ModelOf(row, sweep.spec);
  if (!wish.overrides.empty()) {
    FOLDFARM_ASSIGN_OR_RETURN(row.model_override,
                              Override(former, wish.overrides));
    row.epochs = EpochsOf(*row.model_override);
    if (wish.slots == 0 && row.model_override->slots() != former.slots()) {
      row.slots = row.model_override->slots();
    }
  }
  const v1::ModelSpec& model = ModelOf(row, sweep.spec);
  FOLDFARM_ASSIGN_OR_RETURN(const std::optional<SweepRow> stored,
                            reader.FindSweep(row.sweep));
  if (!stored.has_value()) {
    return absl::DataLossError(
        absl::StrCat("database: sweep ", row.sweep.value, " is missing"));
  }
  const std::vector<std::string> all = LabelNames(stored->dataset);
  // As of a job that was submitted with these options.
  const auto key_of =
      [&](const v1::ModelSpec& options) -> absl::StatusOr<std::string> {
    FOLDFARM_ASSIGN_OR_RETURN(
        const std::string key,
        ResultKey(
            {.spec = sweep.spec,
             .model = options,
             .own_labels = sweep.labels[static_cast<size_t>(row.model_index)],
             .all_labels = all,
             .dataset_digest = sweep.dataset.digest(),
             .samples = sweep.folds[static_cast<size_t>(row.fold)],
             .fold = row.fold}));
    return source.has_value() ? ExtendedKey(key, *source) : key;
  };
  FOLDFARM_ASSIGN_OR_RETURN(const std::string key, key_of(model));
  if (source.has_value()) {
    FOLDFARM_RETURN_IF_ERROR(CheckTrainsOn(
        model, JobSeed(sweep.spec, model, row.fold), all, *source));
  }
  const int given = source.has_value() ? source->epoch : 0;
  // Less than it was given is no part of that.
  if (wish.from_scratch || row.checkpoint_epoch == given) {
    row.result_key = key;
    return absl::OkStatus();
  }
  // Weights that were trained otherwise stay in what becomes of it.
  FOLDFARM_ASSIGN_OR_RETURN(const std::string former_key, key_of(former));
  if (key != former_key) {
    row.result_key = ResumedKey(row.result_key, row.checkpoint_epoch, key);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status JobQueue::ApplyWish(Tx& tx, const RetryWish& wish,
                                 const SweepData& sweep, JobRow& row) {
  std::optional<SourceJob> source;
  if (!sweep.spec.extends().empty() &&
      (wish.from_scratch || !wish.overrides.empty())) {
    FOLDFARM_ASSIGN_OR_RETURN(
        source, FindSourceJob(tx, sweep.spec.extends(), row.model, row.fold));
  }
  if (wish.slots > 0) row.slots = wish.slots;
  // Before the first write: a refusal has nothing to undo. What was resumed
  // with other options is trained with these alone when it is from scratch.
  if (!wish.overrides.empty() ||
      (wish.from_scratch &&
       (row.model_override.has_value() || source.has_value()))) {
    FOLDFARM_RETURN_IF_ERROR(ChangeOptions(tx, wish, sweep, source, row));
  }
  if (wish.from_scratch) {
    // What is trained on begins where its source ended.
    row.checkpoint_epoch = source.has_value() ? source->epoch : 0;
    FOLDFARM_RETURN_IF_ERROR(
        ReplaceCheckpoint(tx, row.id,
                          source.has_value() ? source->checkpoint
                                             : std::vector<v1::ArtifactRef>()));
    row.log_loss.reset();
  }
  // Epochs behind the checkpoint are trained again, perhaps otherwise: what
  // the former attempt said of them is no longer of this job.
  row.epoch = row.checkpoint_epoch;
  FOLDFARM_RETURN_IF_ERROR(tx.DropMetricsAfter(row.id, row.checkpoint_epoch));
  row.paused = false;
  return tx.UpdateWish(row);
}

absl::StatusOr<int> JobQueue::Retry(SweepId sweep, std::optional<JobId> job,
                                    const RetryWish& wish) {
  if (wish.slots < 0 || wish.slots > MostSlots()) {
    return absl::InvalidArgumentError(
        absl::StrCat("slots is ", wish.slots, ", expected 1 to ", MostSlots()));
  }
  int count = 0;
  FOLDFARM_RETURN_IF_ERROR(store_.RunAndWait([&](Tx& tx) -> absl::Status {
    count = 0;
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> jobs,
                              JobsOf(tx, sweep, job));
    FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> data,
                              LoadSweep(tx, sweep));
    if (data->spec.has_prediction() && !wish.overrides.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "sweep ", SweepName(sweep),
          " predicts with networks that are trained; --set has nothing to "
          "change there"));
    }
    const auto can_retry = [](const JobRow& row) {
      return NextJobState(row.state, JobEvent::kReopen).has_value();
    };
    if (job.has_value() && !jobs.empty() && !can_retry(jobs[0])) {
      const JobRow& row = jobs[0];
      return absl::FailedPreconditionError(
          absl::StrCat("job ", JobName(row.sweep, row.model, row.fold), " is ",
                       JobStateName(row.state),
                       "; only jobs that are FAILED or CANCELLED are retried"));
    }
    // Who retries what failed does not mean what the farm dropped; who retries
    // where nothing else is left does.
    const bool spare_dropped =
        !job.has_value() && absl::c_any_of(jobs, [&](const JobRow& row) {
          return can_retry(row) && !row.dropped;
        });
    const auto is_meant = [&](const JobRow& row) {
      return can_retry(row) && !(row.dropped && spare_dropped);
    };
    // An option that only some models have is refused before any is changed.
    for (const JobRow& row : jobs) {
      if (wish.overrides.empty() || !is_meant(row)) continue;
      const v1::ModelSpec& former = ModelOf(row, data->spec);
      FOLDFARM_ASSIGN_OR_RETURN(const v1::ModelSpec changed,
                                Override(former, wish.overrides));
      FOLDFARM_RETURN_IF_ERROR(CheckEpochsLeft(wish, row, former, changed));
    }
    for (JobRow row : jobs) {
      if (!is_meant(row)) continue;
      FOLDFARM_RETURN_IF_ERROR(ApplyWish(tx, wish, *data, row));
      row.failed_count = 0;
      row.lost_count = 0;
      row.cancel_requested = false;
      row.dropped = false;
      row.not_before = absl::InfinitePast();
      row.error.clear();
      FOLDFARM_RETURN_IF_ERROR(ChangeJob(tx, row, JobEvent::kReopen, row.token,
                                         "retried by a person"));
      Offer(row, data->spec.priority());
      ++count;
    }
    return absl::OkStatus();
  }));
  return count;
}

absl::StatusOr<int> JobQueue::SetPaused(SweepId sweep, std::optional<JobId> job,
                                        bool paused) {
  int count = 0;
  FOLDFARM_RETURN_IF_ERROR(store_.RunAndWait([&](Tx& tx) -> absl::Status {
    count = 0;
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> jobs,
                              JobsOf(tx, sweep, job));
    FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> data,
                              LoadSweep(tx, sweep));
    for (JobRow row : jobs) {
      if (IsFinal(row.state) || row.cancel_requested) continue;
      if (row.paused == paused) continue;
      ++count;
      row.paused = paused;
      row.change = ++last_change_;
      changed_ = true;
      FOLDFARM_RETURN_IF_ERROR(tx.UpdateWish(row));
      const char* const detail = paused ? "paused" : "resumed";
      FOLDFARM_RETURN_IF_ERROR(
          tx.InsertEvent(clock_.Now(), row.id, row.token, row.state, detail));
      SPDLOG_INFO("job={} {}", JobName(row.sweep, row.model, row.fold), detail);
      const int priority = data->spec.priority();
      if (row.state == v1::Job::PENDING) {
        if (paused) {
          index_.Remove(IndexEntry(row, priority));
        } else {
          Offer(row, priority);
        }
        continue;
      }
      absl::MutexLock lock(&mu_);
      const auto lease = leases_.find(row.token);
      if (lease == leases_.end()) continue;
      lease->second.preempt = paused;
      if (paused) news_.insert(lease->second.session);
    }
    return absl::OkStatus();
  }));
  return count;
}

absl::StatusOr<int> JobQueue::SetPriority(SweepId sweep, int priority) {
  if (priority < -kMostPriority || priority > kMostPriority) {
    return absl::InvalidArgumentError(
        absl::StrCat("priority is ", priority, ", expected ", -kMostPriority,
                     " to ", kMostPriority));
  }
  int count = 0;
  FOLDFARM_RETURN_IF_ERROR(store_.RunAndWait([&](Tx& tx) -> absl::Status {
    count = 0;
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> jobs,
                              tx.ListJobs(sweep));
    FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> former,
                              LoadSweep(tx, sweep));
    FOLDFARM_RETURN_IF_ERROR(tx.UpdatePriority(sweep, priority));
    auto data = std::make_shared<SweepData>(*former);
    data->spec.set_priority(priority);
    sweeps_[sweep] = std::move(data);
    // The index holds a sweep at one priority: all leave, then all come back.
    for (const JobRow& row : jobs) {
      if (row.state == v1::Job::PENDING) {
        index_.Remove(IndexEntry(row, former->spec.priority()));
      } else if (row.state == v1::Job::RUNNING) {
        index_.EndRunning(row.sweep, row.slots);
      }
    }
    for (const JobRow& row : jobs) {
      if (IsFinal(row.state)) continue;
      ++count;
      if (row.state == v1::Job::PENDING) {
        Offer(row, priority);
      } else {
        index_.AddRunning(row.sweep, priority, row.slots);
      }
    }
    changed_ = true;
    return absl::OkStatus();
  }));
  SPDLOG_INFO("sweep={} priority={}", SweepName(sweep), priority);
  return count;
}

}  // namespace foldfarm
