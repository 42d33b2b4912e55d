// The part of JobQueue that people ask: datasets, submit, cancel, retry.
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/proto_time.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepared_dataset.h"
#include "common/sweep/kept_checkpoint.h"
#include "coordinator/queue/extension.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/near_misses.h"
#include "coordinator/queue/sweep_plan.h"

namespace foldfarm {
namespace {

// Of datasets, kept in memory.
constexpr size_t kMostDatasets = 16;

// Counts and prevalences of a prepared dataset.
absl::Status Describe(const std::string& path, v1::Dataset& dataset) {
  absl::StatusOr<std::shared_ptr<const TensorFile>> file =
      TensorFile::Open(path);
  FOLDFARM_RETURN_IF_ERROR(file.status());
  FOLDFARM_ASSIGN_OR_RETURN(const DatasetHeader header,
                            ParseDatasetHeader((*file)->metadata(), path));
  const int64_t n = static_cast<int64_t>(header.samples.size());
  const int64_t l = static_cast<int64_t>(header.labels.size());
  FOLDFARM_ASSIGN_OR_RETURN(const absl::Span<const uint8_t> labels,
                            (*file)->U8("labels", {n, l}));
  std::map<std::pair<std::string, std::string>, int> counts;
  std::vector<int> positive(header.labels.size());
  int labelled = 0;
  for (size_t i = 0; i < header.samples.size(); ++i) {
    const SampleInfo& sample = header.samples[i];
    ++counts[{sample.split, sample.instrument_type}];
    if (!sample.labelled) continue;
    ++labelled;
    for (size_t k = 0; k < header.labels.size(); ++k) {
      positive[k] += labels[i * header.labels.size() + k];
    }
  }
  for (const auto& [key, samples] : counts) {
    v1::SampleCount& count = *dataset.add_counts();
    count.set_split(key.first);
    count.set_instrument_type(key.second);
    count.set_samples(samples);
  }
  for (size_t k = 0; k < header.labels.size(); ++k) {
    v1::LabelPrevalence& label = *dataset.add_labels();
    label.set_label(header.labels[k]);
    label.set_positive(positive[k]);
    label.set_samples(labelled);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::Dataset> JobQueue::RegisterDataset(
    const v1::RegisterDatasetRequest& request) {
  if (!IsValidName(request.name(), 100)) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset name is \"", request.name(),
                     "\", expected 1 to 100 of [A-Za-z0-9._-]"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const ArtifactFiles::Stat stat,
                            files_.GetStat(request.digest()));
  if (!stat.complete) {
    return absl::FailedPreconditionError(
        absl::StrCat("dataset ", request.name(), ": artifact ",
                     request.digest(), " is not stored; upload it first"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                            files_.Find(request.digest()));
  v1::Dataset dataset;
  dataset.set_name(request.name());
  dataset.set_digest(request.digest());
  dataset.set_size_bytes(stat.size_bytes);
  SetTime(clock_.Now(), dataset.mutable_create_time());
  if (const absl::Status status = Describe(path, dataset); !status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset ", request.name(),
                     " is not a prepared dataset: ", status.message()));
  }
  FOLDFARM_RETURN_IF_ERROR(store_.RunAndWait([&](Tx& tx) -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const std::optional<DatasetRow> known,
                              tx.FindDataset(request.name()));
    // Again: what was not named yet may have been collected meanwhile.
    FOLDFARM_RETURN_IF_ERROR(files_.Find(request.digest()).status());
    if (!known.has_value()) return tx.InsertDataset(dataset).status();
    if (known->dataset.digest() != request.digest()) {
      return absl::AlreadyExistsError(absl::StrCat(
          "dataset ", request.name(), " is ", known->dataset.digest(),
          " already; choose another name"));
    }
    dataset = known->dataset;
    return absl::OkStatus();
  }));
  SPDLOG_INFO("dataset={} digest={} registered", dataset.name(),
              dataset.digest());
  return dataset;
}

absl::StatusOr<JobQueue::StoredDataset> JobQueue::OpenDataset(
    const std::string& name) {
  std::optional<StoredDataset> known;
  {
    // A name never stands for another dataset later, nor a digest for another
    // file.
    absl::MutexLock lock(&mu_);
    const auto found = datasets_.find(name);
    if (found != datasets_.end()) known = found->second;
  }
  if (known.has_value()) {
    FOLDFARM_RETURN_IF_ERROR(files_.Find(known->row.dataset.digest()).status());
    return *std::move(known);
  }
  std::optional<DatasetRow> row;
  std::vector<std::string> names;
  FOLDFARM_RETURN_IF_ERROR(
      store_.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(row, reader.FindDataset(name));
        if (row.has_value()) return absl::OkStatus();
        FOLDFARM_ASSIGN_OR_RETURN(const std::vector<DatasetRow> all,
                                  reader.ListDatasets());
        for (const DatasetRow& one : all) names.push_back(one.dataset.name());
        return absl::OkStatus();
      }));
  if (!row.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("no dataset \"", name, "\"", NearMisses(name, names),
                     "; `foldfarm dataset list` names those there are"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                            files_.Find(row->dataset.digest()));
  FOLDFARM_ASSIGN_OR_RETURN(const auto metadata,
                            TensorFile::ReadMetadata(path));
  FOLDFARM_ASSIGN_OR_RETURN(DatasetHeader parsed,
                            ParseDatasetHeader(metadata, path));
  StoredDataset dataset{*std::move(row), std::make_shared<const DatasetHeader>(
                                             std::move(parsed))};
  absl::MutexLock lock(&mu_);
  if (datasets_.size() >= kMostDatasets) datasets_.clear();
  datasets_[name] = dataset;
  return dataset;
}

absl::StatusOr<v1::SubmitSweepResponse> JobQueue::SubmitSweep(
    const v1::SubmitSweepRequest& request) {
  FOLDFARM_RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  if (request.spec().has_prediction()) {
    return absl::InvalidArgumentError(
        "spec.prediction is set, which is the farm's own; SubmitPrediction "
        "makes a sweep that predicts");
  }
  FOLDFARM_ASSIGN_OR_RETURN(const StoredDataset dataset,
                            OpenDataset(request.dataset()));
  v1::SweepSpec spec = request.spec();
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<InputRow> inputs,
                            ResolveInputs(spec));
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
    return DoSubmit(tx, request, spec, dataset.row, plan, inputs, response);
  }));
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
  // What was trained before, by place.
  std::map<size_t, JobRow> reused;
  if (!request.no_reuse()) {
    for (size_t i = 0; i < plan.jobs.size(); ++i) {
      FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> source,
                                tx.FindResult(plan.jobs[i].result_key));
      if (source.has_value()) reused[i] = *std::move(source);
    }
  }
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
    job.checkpoint_epoch = planned.checkpoint_epoch;
    job.epoch = planned.checkpoint_epoch;
    std::vector<v1::ArtifactRef> checkpoint = planned.checkpoint;
    const auto source = reused.find(i);
    if (source != reused.end()) {
      // What was trained on from there is trained on from here as well.
      job.checkpoint_epoch = KeepsCheckpoint(spec.models(planned.model))
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
    FOLDFARM_ASSIGN_OR_RETURN(job.id, tx.InsertJob(job));
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
