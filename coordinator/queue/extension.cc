#include "coordinator/queue/extension.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/digest.h"
#include "common/base/status_macros.h"
#include "common/sweep/kept_checkpoint.h"
#include "common/sweep/merge.h"
#include "coordinator/queue/job_names.h"
#include "coordinator/queue/job_state.h"
#include "coordinator/queue/near_misses.h"

namespace foldfarm {
namespace {

absl::StatusOr<SweepRow> FindSource(const Reader& reader,
                                    const std::string& extends) {
  const std::optional<SweepId> id = ParseSweepName(extends);
  if (!id.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "extends is \"", extends, "\", expected a sweep's id, e.g. s3"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<SweepRow> row, reader.FindSweep(*id));
  if (!row.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("extends: there is no sweep ", extends));
  }
  if (row->spec.has_prediction()) {
    return absl::InvalidArgumentError(
        absl::StrCat("extends: sweep ", extends,
                     " predicts; expected one that trained, e.g. ",
                     row->spec.prediction().source()));
  }
  return *std::move(row);
}

absl::StatusOr<SourceJob> ReadSource(const Reader& reader,
                                     const SweepRow& sweep, const JobRow& job) {
  SourceJob source;
  source.name = JobName(sweep.id, job.model, job.fold);
  if (job.state != v1::Job::SUCCEEDED) {
    return absl::FailedPreconditionError(absl::StrCat(
        "model ", job.model, ": ", source.name, " is ", JobStateName(job.state),
        ", expected SUCCEEDED; only what is finished is trained "
        "on"));
  }
  source.model = ModelOf(job, sweep.spec);
  if (source.model.arch().has_none()) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", job.model,
                     ": arch is none, expected one that is trained in epochs; "
                     "leave the model out"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(
      source.checkpoint,
      reader.ListArtifacts(job.id, ArtifactKind::kCheckpoint));
  if (job.checkpoint_epoch == 0 || source.checkpoint.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "model ", job.model, ": ", source.name,
        " has no stored checkpoint to train on from, expected one of its last "
        "epoch; train it anew with train.keep_checkpoint: true (submit "
        "--no-reuse)"));
  }
  source.seed = JobSeed(sweep.spec, source.model, job.fold);
  source.result_key = job.result_key;
  source.epoch = job.checkpoint_epoch;
  return source;
}

// "rnn.hidden is 16, expected 8" of the first field that differs; empty: none.
std::string FirstDifference(const google::protobuf::Message& got,
                            const google::protobuf::Message& expected) {
  std::string report;
  google::protobuf::util::MessageDifferencer differencer;
  differencer.ReportDifferencesToString(&report);
  if (differencer.Compare(expected, got)) return "";
  // "modified: PATH: FORMER -> NEW", "added: PATH: NEW", "deleted: ...".
  const std::vector<std::string> words = absl::StrSplit(
      report.substr(0, report.find('\n')), absl::MaxSplits(": ", 2));
  if (words.size() < 3) return report;
  const std::string& path = words[1];
  if (words[0] == "added") {
    return absl::StrCat(path, " is ", words[2], ", expected none");
  }
  if (words[0] == "deleted") {
    return absl::StrCat(path, " is not set, expected ", words[2]);
  }
  const std::vector<std::string> values =
      absl::StrSplit(words[2], absl::MaxSplits(" -> ", 1));
  return absl::StrCat(path, " is ", values.back(), ", expected ", values[0]);
}

// Refusals of one model.
class TrainsOn {
 public:
  TrainsOn(const v1::ModelSpec& model, const SourceJob& source)
      : model_(model), source_(source) {}

  absl::Status Check() const {
    FOLDFARM_RETURN_IF_ERROR(CheckArch());
    FOLDFARM_RETURN_IF_ERROR(Same("representation.", model_.representation(),
                                  source_.model.representation()));
    FOLDFARM_RETURN_IF_ERROR(CheckStages());
    FOLDFARM_RETURN_IF_ERROR(CheckEpochs());
    return CheckTrain();
  }

  absl::Status Refuse(absl::string_view what) const {
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", model_.name(), ": ", what, ", as in ", source_.name));
  }

 private:
  absl::Status Same(absl::string_view prefix,
                    const google::protobuf::Message& got,
                    const google::protobuf::Message& expected) const {
    const std::string difference = FirstDifference(got, expected);
    if (difference.empty()) return absl::OkStatus();
    return Refuse(absl::StrCat(prefix, difference));
  }

  absl::Status CheckArch() const {
    const auto bare = [](v1::ArchSpec arch) {
      if (arch.has_xgboost()) arch.mutable_xgboost()->clear_rounds();
      if (arch.has_exec()) {
        arch.mutable_exec()->clear_epochs();
        arch.mutable_exec()->clear_timeout_minutes();
      }
      return arch;
    };
    return Same("arch.", bare(model_.arch()), bare(source_.model.arch()));
  }

  // A checkpoint belongs to the last stage: what came before is done.
  absl::Status CheckStages() const {
    const int stages = model_.stages_size();
    if (stages != source_.model.stages_size()) {
      return Refuse(absl::StrCat("stages has ", stages, " entries, expected ",
                                 source_.model.stages_size()));
    }
    for (int i = 0; i < stages; ++i) {
      const auto bare = [&](v1::StageSpec stage) {
        v1::TrainSpec& train = *stage.mutable_train();
        train.clear_checkpoint_minutes();
        train.clear_checkpoint_epochs();
        train.clear_keep_checkpoint();
        if (i + 1 == stages) train.Clear();
        return stage;
      };
      FOLDFARM_RETURN_IF_ERROR(Same(absl::StrCat("stages[", i, "]."),
                                    bare(model_.stages(i)),
                                    bare(source_.model.stages(i))));
    }
    return absl::OkStatus();
  }

  absl::Status CheckEpochs() const {
    const int least = std::max(EpochsOf(source_.model), source_.epoch);
    if (EpochsOf(model_) > least) return absl::OkStatus();
    const v1::ArchSpec& arch = model_.arch();
    const auto refuse = [&](absl::string_view field, int64_t got,
                            int64_t trained) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model ", model_.name(), ": ", field, " is ", got,
          ", expected more than the ", trained, " of ", source_.name));
    };
    if (arch.has_xgboost()) {
      // The last epoch may have been cut short; it is not done again.
      const int a_time = std::max(1, arch.xgboost().epoch_rounds());
      return Refuse(absl::StrCat(
          "arch.xgboost.rounds is ", arch.xgboost().rounds(),
          ", expected more than ", int64_t{least} * a_time, " for more than ",
          least, " epochs of ", a_time, " rounds"));
    }
    if (arch.has_exec()) {
      return refuse("arch.exec.epochs", arch.exec().epochs(), least);
    }
    const int earlier = EpochsOf(model_) - LastTrain(model_).epochs();
    return refuse(LastTrainPath("epochs"), LastTrain(model_).epochs(),
                  least - earlier);
  }

  // What the optimizer's state is of. Trees and users' programs have none.
  absl::Status CheckTrain() const {
    if (model_.arch().has_xgboost() || model_.arch().has_exec()) {
      return absl::OkStatus();
    }
    const v1::TrainSpec& train = LastTrain(model_);
    const v1::TrainSpec& former = LastTrain(source_.model);
    if (train.optimizer() != former.optimizer()) {
      return Refuse(absl::StrCat(LastTrainPath("optimizer"), " is ",
                                 v1::Optimizer_Name(train.optimizer()),
                                 ", expected ",
                                 v1::Optimizer_Name(former.optimizer())));
    }
    const auto same_use = [&](absl::string_view field, double got,
                              double expected) {
      if ((got > 0) == (expected > 0)) return absl::OkStatus();
      return Refuse(absl::StrCat(LastTrainPath(field), " is ", got,
                                 ", expected ",
                                 expected > 0 ? "more than 0" : "0"));
    };
    FOLDFARM_RETURN_IF_ERROR(same_use("ema", train.ema(), former.ema()));
    return same_use("swa_start", train.swa_start(), former.swa_start());
  }

  std::string LastTrainPath(absl::string_view field) const {
    const int stages = model_.stages_size();
    return stages == 0 ? absl::StrCat("train.", field)
                       : absl::StrCat("stages[", stages - 1, "].train.", field);
  }

  const v1::ModelSpec& model_;
  const SourceJob& source_;
};

absl::Status CheckSameFolds(const SweepPlan& plan,
                            const std::vector<v1::AttemptSpec>& former,
                            const std::string& extends) {
  if (plan.folds.size() != former.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("folds: there are ", plan.folds.size(), ", expected ",
                     former.size(), ", as in ", extends));
  }
  for (size_t fold = 0; fold < former.size(); ++fold) {
    if (absl::c_equal(plan.folds[fold].train_samples(),
                      former[fold].train_samples()) &&
        absl::c_equal(plan.folds[fold].validation_samples(),
                      former[fold].validation_samples())) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        "folds: fold ", fold, " has other samples, expected those of ", extends,
        " (folds, seed and limit_samples must stay)"));
  }
  return absl::OkStatus();
}

// What `row` was retried with stays where the extension says nothing else: its
// options, and its slots. `former` is its model in the extended sweep.
absl::Status KeepChanges(const v1::SweepSpec& spec, const v1::ModelSpec& former,
                         const JobRow& row, const DatasetRow& dataset,
                         const std::vector<v1::AttemptSpec>& folds,
                         const std::vector<std::string>& labels,
                         PlannedJob& planned) {
  const v1::ModelSpec& model = spec.models(planned.model);
  if (model.slots() == former.slots()) planned.slots = row.slots;
  if (!row.model_override.has_value()) return absl::OkStatus();
  v1::ModelSpec changed = *row.model_override;
  MergeChanges(former, model, changed);
  planned.epochs = EpochsOf(changed);
  FOLDFARM_ASSIGN_OR_RETURN(
      planned.result_key,
      ResultKey({.spec = spec,
                 .model = changed,
                 .own_labels = LabelsOf(changed, labels),
                 .all_labels = labels,
                 .dataset_digest = dataset.dataset.digest(),
                 .samples = folds[static_cast<size_t>(planned.fold)],
                 .fold = planned.fold}));
  planned.changed_model = std::move(changed);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<SourceJob> FindSourceJob(const Reader& reader,
                                        const std::string& extends,
                                        const std::string& model, int fold) {
  FOLDFARM_ASSIGN_OR_RETURN(const SweepRow sweep, FindSource(reader, extends));
  FOLDFARM_ASSIGN_OR_RETURN(const std::optional<JobRow> job,
                            reader.FindJob(sweep.id, model, fold));
  if (!job.has_value()) {
    return absl::NotFoundError(absl::StrCat("extends: there is no job ",
                                            JobName(sweep.id, model, fold)));
  }
  return ReadSource(reader, sweep, *job);
}

absl::Status CheckTrainsOn(const v1::ModelSpec& model, uint32_t seed,
                           const std::vector<std::string>& labels,
                           const SourceJob& source) {
  const TrainsOn check(model, source);
  const std::vector<std::string> own = LabelsOf(model, labels);
  const std::vector<std::string> former = LabelsOf(source.model, labels);
  if (own != former) {
    return check.Refuse(absl::StrCat("labels are ", absl::StrJoin(own, ","),
                                     ", expected ",
                                     absl::StrJoin(former, ",")));
  }
  if (seed != source.seed) {
    return check.Refuse(
        absl::StrCat("seed gives the job ", seed, ", expected ", source.seed,
                     " (seed of the sweep and the model must stay)"));
  }
  return check.Check();
}

std::string ExtendedKey(const std::string& key, const SourceJob& source) {
  return Sha256Hex(absl::StrCat("trained on\nsource ", source.result_key,
                                "\nepoch ", source.epoch, "\nas ", key));
}

std::string ResumedKey(const std::string& former, int epoch,
                       const std::string& key) {
  return Sha256Hex(
      absl::StrCat("resumed\nkey ", former, "\nepoch ", epoch, "\nas ", key));
}

absl::Status ExtendPlan(const Reader& reader, const v1::SweepSpec& spec,
                        const DatasetRow& dataset, SweepPlan& plan) {
  const std::string& extends = spec.extends();
  FOLDFARM_ASSIGN_OR_RETURN(const SweepRow sweep, FindSource(reader, extends));
  if (dataset.dataset.digest() != sweep.dataset.digest()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dataset is ", dataset.dataset.name(), " (", dataset.dataset.digest(),
        "), expected ", sweep.dataset.name(), " (", sweep.dataset.digest(),
        "), as in ", extends));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<v1::AttemptSpec> folds,
                            reader.ListFolds(sweep.id));
  FOLDFARM_RETURN_IF_ERROR(CheckSameFolds(plan, folds, extends));
  const std::vector<std::string> labels = LabelNames(sweep.dataset);
  std::vector<std::string> names;
  for (const v1::ModelSpec& model : sweep.spec.models()) {
    names.push_back(model.name());
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> jobs,
                            reader.ListJobs(sweep.id));
  std::map<std::pair<std::string, int>, const JobRow*> by_name;
  for (const JobRow& job : jobs) by_name[{job.model, job.fold}] = &job;
  for (PlannedJob& planned : plan.jobs) {
    const v1::ModelSpec& model = spec.models(planned.model);
    const auto job = by_name.find({model.name(), planned.fold});
    if (job == by_name.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("model ", model.name(), ": name is \"", model.name(),
                       "\", expected a model of ", extends,
                       NearMisses(model.name(), names)));
    }
    const JobRow& row = *job->second;
    FOLDFARM_ASSIGN_OR_RETURN(SourceJob source, ReadSource(reader, sweep, row));
    const v1::ModelSpec& former = sweep.spec.models(row.model_index);
    FOLDFARM_RETURN_IF_ERROR(
        KeepChanges(spec, former, row, dataset, folds, labels, planned));
    const v1::ModelSpec& trained =
        planned.changed_model.has_value() ? *planned.changed_model : model;
    FOLDFARM_RETURN_IF_ERROR(CheckTrainsOn(
        trained, JobSeed(spec, trained, planned.fold), labels, source));
    planned.result_key = ExtendedKey(planned.result_key, source);
    planned.checkpoint_epoch = source.epoch;
    planned.checkpoint = std::move(source.checkpoint);
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
