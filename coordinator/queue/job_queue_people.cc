// The part of JobQueue that submits sweeps and cancels jobs.
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/sweep/kept_checkpoint.h"
#include "coordinator/queue/extension.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/sweep_plan.h"

namespace foldfarm {
namespace {

// What was trained before, by its place in the plan.
absl::StatusOr<std::map<size_t, JobRow>> FindReused(
    Tx& tx, const v1::SubmitSweepRequest& request, const SweepPlan& plan) {
  std::map<size_t, JobRow> reused;
  if (request.no_reuse()) return reused;
  for (size_t i = 0; i < plan.jobs.size(); ++i) {
    FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> source,
                              tx.FindResult(plan.jobs[i].result_key));
    if (source.has_value()) reused[i] = *std::move(source);
  }
  return reused;
}

// What an unfinished job of the same key had trained.
struct Begun {
  JobRow job;
  std::vector<v1::ArtifactRef> checkpoint;  // Empty: nothing, or not all there.
};

absl::StatusOr<Begun> FindBegun(Tx& tx, ArtifactFiles& files,
                                const std::string& result_key) {
  Begun begun;
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> job,
                            tx.FindBegun(result_key));
  if (!job.has_value()) return begun;
  begun.job = *std::move(job);
  FOLDFARM_ASSIGN_OR_RETURN(
      begun.checkpoint,
      tx.ListArtifacts(begun.job.id, ArtifactKind::kCheckpoint));
  for (const v1::ArtifactRef& file : begun.checkpoint) {
    if (!files.Find(file.digest()).ok()) return Begun();
  }
  return begun;
}

}  // namespace

absl::StatusOr<v1::SubmitSweepResponse> JobQueue::SubmitSweep(
    const v1::SubmitSweepRequest& request) {
  if (!request.validate_only()) {
    FOLDFARM_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  }
  if (request.spec().has_prediction()) {
    return absl::InvalidArgumentError(
        "spec.prediction is set, which is the farm's own; SubmitPrediction "
        "makes a sweep that predicts");
  }
  FOLDFARM_ASSIGN_OR_RETURN(const StoredDataset dataset,
                            OpenDataset(request.dataset()));
  v1::SweepSpec spec = request.spec();
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<InputRow> inputs,
                            ResolveInputs(spec, request.validate_only()));
  FOLDFARM_ASSIGN_OR_RETURN(
      SweepPlan plan,
      PlanSweep(spec, *dataset.header, dataset.row.dataset.digest()));
  if (!spec.extends().empty()) {
    // Of the source only what is final counts: it cannot change any more.
    FOLDFARM_RETURN_IF_ERROR(store_.Read([&](const Reader& reader) {
      return ExtendPlan(reader, spec, dataset.row, plan);
    }));
    for (const PlannedJob& job : plan.jobs) {
      for (const v1::ArtifactRef& file : job.checkpoint) {
        if (files_.Find(file.digest()).ok()) continue;
        return absl::FailedPreconditionError(absl::StrCat(
            "model ", spec.models(job.model).name(), ": checkpoint of fold ",
            job.fold, ": artifact ", file.digest(), " (", file.name(),
            ") is not stored any more"));
      }
    }
  }

  v1::SubmitSweepResponse response;
  FOLDFARM_RETURN_IF_ERROR(store_.RunAndWait([&](Tx& tx) -> absl::Status {
    if (request.validate_only()) {
      response.set_jobs(static_cast<int>(plan.jobs.size()));
      FOLDFARM_ASSIGN_OR_RETURN(const auto reused,
                                FindReused(tx, request, plan));
      response.set_reused(static_cast<int>(reused.size()));
      return absl::OkStatus();
    }
    return DoSubmit(tx, request, spec, dataset.row, plan, inputs, response);
  }));
  if (request.validate_only()) return response;
  SPDLOG_INFO("sweep={} name={} jobs={} reused={} submitted", response.sweep(),
              request.spec().name(), response.jobs(), response.reused());
  return response;
}

absl::Status JobQueue::DoSubmit(Tx& tx, const v1::SubmitSweepRequest& request,
                                const v1::SweepSpec& spec,
                                const DatasetRow& dataset,
                                const SweepPlan& plan,
                                const std::vector<InputRow>& inputs,
                                v1::SubmitSweepResponse& response) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::optional<SweepRow> known,
                            tx.FindSweepByRequest(request.request_id()));
  if (known.has_value()) {
    response.set_sweep(SweepName(known->id));
    response.set_jobs(known->models * known->folds);
    response.set_reused(known->reused);
    return absl::OkStatus();
  }
  const absl::Time now = clock_.Now();
  FOLDFARM_ASSIGN_OR_RETURN(const auto reused, FindReused(tx, request, plan));
  SweepRow row;
  row.request_id = request.request_id();
  row.name = spec.name();
  row.dataset_id = dataset.id;
  row.spec = spec;
  row.priority = spec.priority();
  row.models = spec.models_size();
  row.folds = static_cast<int>(plan.folds.size());
  row.reused = static_cast<int>(reused.size());
  row.create_time = now;
  FOLDFARM_ASSIGN_OR_RETURN(row.id, tx.InsertSweep(row));
  for (size_t fold = 0; fold < plan.folds.size(); ++fold) {
    FOLDFARM_RETURN_IF_ERROR(
        tx.InsertFold(row.id, static_cast<int>(fold), plan.folds[fold]));
  }
  for (const InputRow& input : inputs) {
    FOLDFARM_RETURN_IF_ERROR(files_.Find(input.file.digest()).status());
    FOLDFARM_RETURN_IF_ERROR(tx.InsertInput(row.id, input));
  }
  changed_ = true;
  NoteRules(row);
  for (size_t i = 0; i < plan.jobs.size(); ++i) {
    const PlannedJob& planned = plan.jobs[i];
    JobRow job;
    job.sweep = row.id;
    job.position = static_cast<int>(i);
    job.model = spec.models(planned.model).name();
    job.model_index = planned.model;
    job.fold = planned.fold;
    job.slots = planned.slots;
    job.needs_exec = planned.needs_exec;
    job.epochs = planned.epochs;
    job.result_key = planned.result_key;
    job.create_time = now;
    job.change = ++last_change_;
    job.model_override = planned.changed_model;
    job.checkpoint_epoch = planned.checkpoint_epoch;
    job.epoch = planned.checkpoint_epoch;
    std::vector<v1::ArtifactRef> checkpoint = planned.checkpoint;
    const auto source = reused.find(i);
    if (source != reused.end()) {
      // What was trained on from there is trained on from here as well.
      job.checkpoint_epoch = KeepsCheckpoint(ModelOf(job, spec))
                                 ? source->second.checkpoint_epoch
                                 : 0;
      checkpoint.clear();
      if (job.checkpoint_epoch > 0) {
        FOLDFARM_ASSIGN_OR_RETURN(
            checkpoint,
            tx.ListArtifacts(source->second.id, ArtifactKind::kCheckpoint));
      }
      job.state = *NextJobState(job.state, JobEvent::kReuse);
      job.reused_from = source->second.reused_from.value != 0
                            ? source->second.reused_from
                            : source->second.id;
      job.epoch = job.epochs;
      job.log_loss = source->second.log_loss;
      job.end_time = now;
    }
    Begun begun;
    if (source == reused.end() && !request.no_reuse()) {
      FOLDFARM_ASSIGN_OR_RETURN(begun,
                                FindBegun(tx, files_, planned.result_key));
    }
    // What extends a sweep has a checkpoint to begin with.
    if (!begun.checkpoint.empty() &&
        begun.job.checkpoint_epoch <= planned.checkpoint_epoch) {
      begun = Begun();
    }
    if (!begun.checkpoint.empty()) {
      job.checkpoint_epoch = begun.job.checkpoint_epoch;
      job.epoch = job.checkpoint_epoch;
      checkpoint = begun.checkpoint;
    }
    FOLDFARM_ASSIGN_OR_RETURN(job.id, tx.InsertJob(job));
    if (!begun.checkpoint.empty()) {
      FOLDFARM_RETURN_IF_ERROR(
          tx.TakeOverMetrics(begun.job.id, job.id, job.checkpoint_epoch));
      FOLDFARM_RETURN_IF_ERROR(tx.InsertEvent(
          now, job.id, job.token, job.state,
          absl::StrCat(
              "goes on from the checkpoint of ",
              JobName(begun.job.sweep, begun.job.model, begun.job.fold),
              ", epoch ", begun.job.checkpoint_epoch)));
    }
    if (!checkpoint.empty()) {
      FOLDFARM_RETURN_IF_ERROR(
          tx.SetArtifacts(job.id, ArtifactKind::kCheckpoint, checkpoint));
    }
    if (source == reused.end()) {
      NoteJob(job, +1);
      Offer(job, row.priority);
      continue;
    }
    FOLDFARM_RETURN_IF_ERROR(
        tx.InsertEvent(now, job.id, job.token, job.state, "result reused"));
    FOLDFARM_ASSIGN_OR_RETURN(
        const std::vector<v1::ArtifactRef> refs,
        tx.ListArtifacts(source->second.id, ArtifactKind::kResult));
    FOLDFARM_RETURN_IF_ERROR(
        tx.SetArtifacts(job.id, ArtifactKind::kResult, refs));
    FOLDFARM_ASSIGN_OR_RETURN(const auto metrics,
                              tx.ResultMetrics(source->second.id));
    FOLDFARM_RETURN_IF_ERROR(tx.SetResultMetrics(job.id, metrics));
  }
  response.set_sweep(SweepName(row.id));
  response.set_jobs(static_cast<int>(plan.jobs.size()));
  response.set_reused(row.reused);
  return absl::OkStatus();
}

absl::StatusOr<int> JobQueue::Cancel(SweepId sweep, std::optional<JobId> job) {
  int count = 0;
  FOLDFARM_RETURN_IF_ERROR(store_.RunAndWait([&](Tx& tx) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> jobs,
                              JobsOf(tx, sweep, job));
    FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> data,
                              LoadSweep(tx, sweep));
    for (const JobRow& row : jobs) {
      FOLDFARM_ASSIGN_OR_RETURN(const bool stopped,
                                StopJob(tx, row, data->spec.priority(), ""));
      count += stopped;
    }
    return absl::OkStatus();
  }));
  return count;
}

absl::StatusOr<bool> JobQueue::StopJob(Tx& tx, JobRow row, int priority,
                                       const std::string& why) {
  if (IsFinal(row.state)) return false;
  if (row.cancel_requested) return true;
  if (!why.empty()) {
    row.dropped = true;
    row.error = why;
  }
  if (row.state == v1::Job::PENDING) {
    FOLDFARM_RETURN_IF_ERROR(tx.BeginWrite());
    index_.Remove(IndexEntry(row, priority));
    row.not_before = absl::InfinitePast();
    // A failure before is its attempt's to tell.
    if (!row.dropped) row.error.clear();
    FOLDFARM_RETURN_IF_ERROR(ChangeJob(tx, row, JobEvent::kCancel, row.token,
                                       why.empty() ? "cancelled" : why));
    return true;
  }
  row.cancel_requested = true;
  row.change = ++last_change_;
  changed_ = true;
  FOLDFARM_RETURN_IF_ERROR(tx.UpdateJob(row, row.token));
  const std::string detail =
      absl::StrCat("cancel requested", why.empty() ? "" : ": ", why);
  FOLDFARM_RETURN_IF_ERROR(
      tx.InsertEvent(clock_.Now(), row.id, row.token, row.state, detail));
  SPDLOG_INFO("job={} attempt={} {}", JobName(row.sweep, row.model, row.fold),
              row.token.value, detail);
  absl::MutexLock lock(&mu_);
  const auto lease = leases_.find(row.token);
  if (lease != leases_.end()) {
    lease->second.cancel = true;
    news_.insert(lease->second.session);
  }
  return true;
}

absl::StatusOr<std::vector<JobRow>> JobQueue::JobsOf(Tx& tx, SweepId sweep,
                                                     std::optional<JobId> job) {
  if (!job.has_value()) return tx.ListJobs(sweep);
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> row, tx.FindJob(*job));
  std::vector<JobRow> rows;
  if (row.has_value()) rows.push_back(*std::move(row));
  return rows;
}

}  // namespace foldfarm
