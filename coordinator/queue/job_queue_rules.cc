// The part of JobQueue that decides by itself: which models go on after a
// trial, and when a sweep stops (sweep.proto, ScreenSpec and StopWhenSpec).
//
// What a decision rests on only grows: results of succeeded jobs stay, and
// completions are told apart by a number that no clock moves. Only a trial that
// a person tries again can change, which Screen() checks for.
#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/attempt_files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/oof_reader.h"
#include "coordinator/queue/sweep_rules.h"

namespace foldfarm {

struct JobQueue::SweepRecord {
  SweepRow sweep;
  std::vector<v1::AttemptSpec> folds;
  std::vector<JobRow> jobs;
  // Of the jobs that succeeded.
  std::map<JobId, v1::ArtifactRef> oof;
  // Reader::ListCompletions.
  std::map<JobId, int64_t> completions;
};

struct JobQueue::ScreenDecision {
  SweepId sweep;
  int fold = 0;
  // The trial's jobs, and how they ended.
  std::map<JobId, v1::Job::State> trial;
  // By model: why it does not go on; empty: it does.
  std::vector<std::string> dropped;
  std::string note;
};

namespace {

// "not kept by screening: rank 14 of 26, log loss 0.1820".
std::string NotKept(absl::string_view why) {
  return absl::StrCat("not kept by screening: ", why);
}

// A model that is complete on all folds.
struct CompleteModel {
  int model = 0;
  int64_t completion = 0;
  std::vector<std::string> digests;
};

}  // namespace

void JobQueue::NoteRules(const SweepRow& sweep) {
  const std::optional<int> fold = TrialFold(sweep.spec);
  const bool tries = fold.has_value() && sweep.screened.empty();
  const bool stops = StopsEarly(sweep.spec) && sweep.stopped.empty();
  if (!tries && !stops) return;
  undecided_.insert(sweep.id);
  if (!tries) return;
  absl::MutexLock lock(&mu_);
  trials_.try_emplace(sweep.id, Trial{.fold = *fold});
}

void JobQueue::NoteJob(const JobRow& job, int opened) {
  if (!undecided_.contains(job.sweep)) return;
  to_judge_.insert(job.sweep);
  absl::MutexLock lock(&mu_);
  const auto trial = trials_.find(job.sweep);
  if (trial != trials_.end() && trial->second.fold == job.fold) {
    trial->second.open += opened;
  }
}

void JobQueue::Offer(const JobRow& job, int priority) {
  if (!job.paused && HeldBack(job).empty())
    index_.Add(IndexEntry(job, priority));
}

std::string JobQueue::HeldBack(const JobRow& job) const {
  absl::MutexLock lock(&mu_);
  const auto trial = trials_.find(job.sweep);
  if (trial == trials_.end() || trial->second.fold == job.fold) return "";
  const auto& [fold, open] = trial->second;
  if (open == 0) {
    return absl::StrCat("screened: fold ", fold,
                        " of all models is being compared");
  }
  return absl::StrCat("screened: waits for fold ", fold, " of ", open,
                      open == 1 ? " more model" : " more models");
}

absl::Status JobQueue::JudgeSweep(SweepId sweep) {
  SweepRecord record;
  FOLDFARM_RETURN_IF_ERROR(
      store_.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(std::optional<SweepRow> row,
                                  reader.FindSweep(sweep));
        if (!row.has_value()) {
          return absl::DataLossError(
              absl::StrCat("database: sweep ", sweep.value, " is missing"));
        }
        record.sweep = *std::move(row);
        FOLDFARM_ASSIGN_OR_RETURN(record.folds, reader.ListFolds(sweep));
        FOLDFARM_ASSIGN_OR_RETURN(record.jobs, reader.ListJobs(sweep));
        FOLDFARM_ASSIGN_OR_RETURN(
            record.oof, reader.ListResults(sweep, std::string(kOofFile)));
        FOLDFARM_ASSIGN_OR_RETURN(record.completions,
                                  reader.ListCompletions(sweep));
        return absl::OkStatus();
      }));
  const SweepRow& row = record.sweep;
  if (TrialFold(row.spec).has_value() && row.screened.empty()) {
    return JudgeTrial(record);
  }
  if (StopsEarly(row.spec) && row.stopped.empty()) return JudgeEnsemble(record);
  return absl::OkStatus();
}

absl::Status JobQueue::JudgeTrial(const SweepRecord& record) {
  const v1::SweepSpec& spec = record.sweep.spec;
  ScreenDecision decision;
  decision.sweep = record.sweep.id;
  decision.fold = *TrialFold(spec);
  bool held_back = false;
  for (const JobRow& job : record.jobs) {
    if (job.fold != decision.fold) {
      held_back = held_back || job.state == v1::Job::PENDING;
    } else if (IsFinal(job.state)) {
      decision.trial[job.id] = job.state;
    } else {
      return absl::OkStatus();  // Not over.
    }
  }
  if (!held_back) return absl::OkStatus();

  decision.dropped.resize(static_cast<size_t>(spec.models_size()));
  absl::StatusOr<OofReader> reader = OofReader::Open(
      files_, record.sweep.dataset.digest(), record.folds, decision.fold);
  if (!reader.ok()) {
    // Whoever waits for a comparison that cannot be made waits for ever.
    decision.note =
        absl::StrCat("screening failed, all models go on: dataset: ",
                     reader.status().message());
    SPDLOG_ERROR("sweep={} {}", SweepName(decision.sweep), decision.note);
  } else {
    std::vector<size_t> models;  // By place in the matrix.
    for (const JobRow& job : record.jobs) {
      if (job.fold != decision.fold) continue;
      const size_t model = static_cast<size_t>(job.model_index);
      std::string& why = decision.dropped[model];
      if (job.state != v1::Job::SUCCEEDED) {
        why = NotKept(absl::StrCat(
            "fold ", job.fold,
            job.state == v1::Job::FAILED ? " failed" : " was cancelled"));
        continue;
      }
      const auto oof = record.oof.find(job.id);
      const absl::Status added =
          oof == record.oof.end()
              ? absl::DataLossError("it has none")
              : reader->AddModel(spec.models(job.model_index),
                                 {oof->second.digest()});
      if (added.ok()) {
        models.push_back(model);
        continue;
      }
      why = NotKept(absl::StrCat("its predictions of fold ", job.fold,
                                 " cannot be read: ", added.message()));
      SPDLOG_ERROR("job={} {}", JobName(job.sweep, job.model, job.fold), why);
    }
    const size_t keep =
        std::min(models.size(), static_cast<size_t>(spec.screen().keep()));
    std::vector<RankedModel> ranked;
    if (!models.empty()) ranked = RankModels(reader->matrix(), spec.screen());
    for (size_t rank = keep; rank < ranked.size(); ++rank) {
      decision.dropped[models[ranked[rank].model]] =
          NotKept(absl::StrFormat("rank %d of %d, log loss %.4f", rank + 1,
                                  ranked.size(), ranked[rank].log_loss));
    }
    decision.note =
        absl::StrCat("screened: ", keep, " of ", spec.models_size(),
                     keep == 1 ? " models goes on" : " models go on");
  }
  if (options_.before_decision) options_.before_decision();
  return store_.RunAndWait([&](Tx& tx) { return Screen(tx, decision); });
}

absl::Status JobQueue::Screen(Tx& tx, const ScreenDecision& decision) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> data,
                            LoadSweep(tx, decision.sweep));
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<SweepRow> row,
                            tx.FindSweep(decision.sweep));
  if (!row.has_value() || !row->screened.empty()) return absl::OkStatus();
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> jobs,
                            tx.ListJobs(decision.sweep));
  for (const JobRow& job : jobs) {
    if (job.fold != decision.fold) continue;
    const auto ended = decision.trial.find(job.id);
    // Somebody tries it again: there will be another trial to judge.
    if (ended == decision.trial.end() || ended->second != job.state) {
      return absl::OkStatus();
    }
  }
  row->screened = decision.note;
  FOLDFARM_RETURN_IF_ERROR(tx.UpdateDecisions(*row));
  {
    absl::MutexLock lock(&mu_);
    trials_.erase(decision.sweep);
  }
  if (StopsEarly(row->spec)) {
    to_judge_.insert(decision.sweep);
  } else {
    undecided_.erase(decision.sweep);
  }
  changed_ = true;
  SPDLOG_INFO("sweep={} {}", SweepName(decision.sweep), decision.note);
  for (const JobRow& job : jobs) {
    if (job.fold == decision.fold || job.state != v1::Job::PENDING) continue;
    const std::string& why =
        decision.dropped[static_cast<size_t>(job.model_index)];
    if (why.empty()) {
      Offer(job, data->spec.priority());
      continue;
    }
    FOLDFARM_RETURN_IF_ERROR(
        StopJob(tx, job, data->spec.priority(), why).status());
  }
  return absl::OkStatus();
}

absl::Status JobQueue::JudgeEnsemble(const SweepRecord& record) {
  const v1::SweepSpec& spec = record.sweep.spec;
  const SweepId sweep = record.sweep.id;
  std::map<int, CompleteModel> by_model;
  bool open = false;
  for (const JobRow& job : record.jobs) {
    open = open || !IsFinal(job.state);
    const auto oof = record.oof.find(job.id);
    const auto completion = record.completions.find(job.id);
    if (oof == record.oof.end() || completion == record.completions.end()) {
      continue;
    }
    CompleteModel& model = by_model[job.model_index];
    model.model = job.model_index;
    model.completion = std::max(model.completion, completion->second);
    model.digests.push_back(oof->second.digest());
  }
  if (!open) return absl::OkStatus();
  std::vector<CompleteModel> complete;
  for (auto& [index, model] : by_model) {
    if (model.digests.size() == record.folds.size()) {
      complete.push_back(std::move(model));
    }
  }
  absl::c_stable_sort(complete,
                      [](const CompleteModel& a, const CompleteModel& b) {
                        return a.completion < b.completion;
                      });
  // Most jobs that finish complete no model.
  size_t& judged = judged_models_[sweep];
  if (complete.size() == judged) return absl::OkStatus();
  absl::StatusOr<OofReader> reader = OofReader::Open(
      files_, record.sweep.dataset.digest(), record.folds, std::nullopt);
  if (!reader.ok()) {
    SPDLOG_ERROR("sweep={} stop_when has no effect: dataset: {}",
                 SweepName(sweep), reader.status().ToString());
    return absl::OkStatus();
  }
  for (const CompleteModel& model : complete) {
    const absl::Status added =
        reader->AddModel(spec.models(model.model), model.digests);
    if (added.ok()) continue;
    SPDLOG_ERROR("sweep={} model={} does not count for stop_when: {}",
                 SweepName(sweep), spec.models(model.model).name(),
                 added.ToString());
  }
  const std::optional<StopPoint> stop =
      FindStop(reader->matrix(), reader->LabelsOf(spec), spec.stop_when());
  if (!stop.has_value()) {
    judged = complete.size();
    return absl::OkStatus();
  }
  SPDLOG_INFO("sweep={} models={} log_loss={:.6f} gains={} {}",
              SweepName(sweep), stop->models, stop->log_loss,
              absl::StrJoin(stop->gains, ","), StopNote(spec.stop_when()));
  if (options_.before_decision) options_.before_decision();
  return store_.RunAndWait([&](Tx& tx) { return StopSweep(tx, sweep); });
}

absl::Status JobQueue::StopSweep(Tx& tx, SweepId sweep) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> data,
                            LoadSweep(tx, sweep));
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<SweepRow> row, tx.FindSweep(sweep));
  if (!row.has_value() || !row->stopped.empty()) return absl::OkStatus();
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> jobs, tx.ListJobs(sweep));
  // Nothing was left to stop.
  if (absl::c_all_of(jobs, [](const JobRow& j) { return IsFinal(j.state); })) {
    return absl::OkStatus();
  }
  row->stopped = StopNote(row->spec.stop_when());
  FOLDFARM_RETURN_IF_ERROR(tx.UpdateDecisions(*row));
  undecided_.erase(sweep);
  changed_ = true;
  SPDLOG_INFO("sweep={} {}", SweepName(sweep), row->stopped);
  for (const JobRow& job : jobs) {
    FOLDFARM_RETURN_IF_ERROR(
        StopJob(tx, job, data->spec.priority(), row->stopped).status());
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
