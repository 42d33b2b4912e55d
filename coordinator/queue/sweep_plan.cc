#include "coordinator/queue/sweep_plan.h"

#include <algorithm>
#include <limits>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"
#include "common/base/digest.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/spectra/folds.h"
#include "common/sweep/sweep.h"
#include "common/sweep/sweep_errors.h"
#include "coordinator/queue/model_key.h"
#include "coordinator/queue/near_misses.h"
#include "coordinator/queue/sample_limit.h"
#include "coordinator/queue/sweep_rules.h"

namespace foldfarm {
namespace {

// Changes when the same specification no longer gives the same result.
constexpr absl::string_view kTrainerProtocol = "1";
constexpr int kMaxFolds = 100;
constexpr int kMaxModels = 10000;
// Some 10 MB when they are listed, of the 16 that a message may have.
constexpr int64_t kMaxJobs = 50000;
constexpr size_t kMaxRequestId = 128;

absl::StatusOr<FoldOptions> FoldOptionsOf(const v1::FoldsSpec& spec) {
  FoldOptions options;
  if (spec.has_count()) options.count = spec.count();
  if (spec.has_stratify()) options.stratify = spec.stratify();
  if (spec.has_seed()) options.seed = spec.seed();
  for (const v1::FoldAssignment& row : spec.assignment()) {
    if (row.fold() < 0 || row.fold() >= kMaxFolds) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample ", row.sample_id(), " is in fold ", row.fold(),
                       ", expected 0 to ", kMaxFolds - 1));
    }
    if (!options.assignment.emplace(row.sample_id(), row.fold()).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the fold file names sample ", row.sample_id(), " twice"));
    }
  }
  if (spec.holdout_size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "folds.holdout names ", spec.holdout_size(), " columns, expected 1"));
  }
  for (const auto& [column, value] : spec.holdout()) {
    options.holdout_column = column;
    options.holdout_value = value;
  }
  if (options.count < 2 || options.count > kMaxFolds) {
    return absl::InvalidArgumentError(absl::StrCat(
        "folds.count is ", options.count, ", expected 2 to ", kMaxFolds));
  }
  return options;
}

// Fewer train samples than these, and every job of the model fails. Arch none
// predicts a mean, which one sample has; what a program needs is its own
// affair.
int LeastTrainSamples(const v1::ModelSpec& model) {
  return model.arch().has_none() || model.arch().has_exec() ? 1 : 2;
}

// Every fold of a model must have enough samples to train on.
absl::Status CheckTrainSamples(const v1::ModelSpec& model,
                               const std::vector<v1::AttemptSpec>& folds) {
  const int least = LeastTrainSamples(model);
  for (size_t fold = 0; fold < folds.size(); ++fold) {
    const int train_samples = folds[fold].train_samples_size();
    if (train_samples >= least) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("model ", model.name(), ": fold ", fold, " has ",
                     train_samples, train_samples == 1 ? " sample" : " samples",
                     " to train on, expected at least ", least));
  }
  return absl::OkStatus();
}

// And so must every stage of a model, in every fold.
absl::Status CheckStages(const v1::ModelSpec& model,
                         const std::vector<SampleInfo>& samples,
                         const Folds& cut) {
  for (int s = 0; s < model.stages_size(); ++s) {
    std::vector<int> train_samples(static_cast<size_t>(cut.count), 0);
    for (size_t i = 0; i < samples.size(); ++i) {
      if (!IsLabelledTrain(samples[i])) continue;
      bool taken = true;
      for (const auto& [column, value] : model.stages(s).samples()) {
        const absl::StatusOr<std::string> got =
            SampleColumn(samples[i], column);
        if (!got.ok()) {
          return absl::InvalidArgumentError(
              absl::StrCat("model ", model.name(), ": stages[", s,
                           "].samples: ", got.status().message()));
        }
        taken = taken && *got == value;
      }
      for (int fold = 0; taken && fold < cut.count; ++fold) {
        train_samples[static_cast<size_t>(fold)] += cut.fold[i] != fold;
      }
    }
    const int least = LeastTrainSamples(model);
    const auto few = absl::c_find_if(
        train_samples, [least](int count) { return count < least; });
    if (few == train_samples.end()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", model.name(), ": stages[", s, "].samples leaves ",
        *few == 0 ? "nothing" : "1 sample", " to train on in fold ",
        few - train_samples.begin(), ", expected at least ", least,
        "; name values that more of its samples have"));
  }
  return absl::OkStatus();
}

std::string KeyOf(const std::string& dataset_digest, const std::string& samples,
                  uint32_t seed, int tta, const std::string& model) {
  return Sha256Hex(absl::StrCat("trainer protocol ", kTrainerProtocol,
                                "\ndataset ", dataset_digest, "\nsamples ",
                                samples, "\nseed ", seed, "\ntta ", tta,
                                "\nmodel ", model));
}

std::string SampleDigest(const v1::AttemptSpec& fold) {
  Hasher hasher = Hasher::Sha256();
  const auto add = [&](const auto& ids) {
    for (const std::string& id : ids) {
      hasher.Update(id);
      hasher.Update("\n");
    }
    hasher.Update("\n");
  };
  add(fold.train_samples());
  add(fold.validation_samples());
  return hasher.FinishHex();
}

}  // namespace

absl::Status CheckRequestId(absl::string_view request_id) {
  if (!request_id.empty() && request_id.size() <= kMaxRequestId) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("request_id has ", request_id.size(),
                   " bytes, expected 1 to ", kMaxRequestId));
}

absl::Status CheckSweepSpec(const v1::SweepSpec& spec) {
  FOLDFARM_RETURN_IF_ERROR(CheckSweepName(spec.name()));
  if (spec.models_size() == 0 || spec.models_size() > kMaxModels) {
    return absl::InvalidArgumentError(
        absl::StrCat("sweep ", spec.name(), " has ", spec.models_size(),
                     " models, expected 1 to ", kMaxModels));
  }
  if (spec.priority() < -kMostPriority || spec.priority() > kMostPriority) {
    return absl::InvalidArgumentError(
        absl::StrCat("priority is ", spec.priority(), ", expected ",
                     -kMostPriority, " to ", kMostPriority));
  }
  if (spec.limit_samples() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("limit_samples is ", spec.limit_samples(),
                     ", expected 0 (all) or more"));
  }
  if (spec.has_tta() && (spec.tta() < 1 || spec.tta() > 256)) {
    return absl::InvalidArgumentError(
        absl::StrCat("tta is ", spec.tta(), ", expected 1 to 256"));
  }
  absl::flat_hash_set<std::string> names;
  for (const v1::ModelSpec& model : spec.models()) {
    if (!IsValidName(model.name(), 100)) {
      return absl::InvalidArgumentError(
          absl::StrCat("model name is ", Quoted(model.name()),
                       ", expected 1 to 100 of [A-Za-z0-9._-]"));
    }
    if (!names.insert(model.name()).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("model ", model.name(), " is there twice"));
    }
    if (model.arch().kind_case() == v1::ArchSpec::KIND_NOT_SET) {
      return absl::InvalidArgumentError(
          absl::StrCat("model ", model.name(), " has no arch"));
    }
    if (model.has_slots() && (model.slots() < 1 || model.slots() > 64)) {
      return absl::InvalidArgumentError(
          absl::StrCat("model ", model.name(), ": slots is ", model.slots(),
                       ", expected 1 to 64"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckModelLabels(const v1::ModelSpec& model,
                              const std::vector<std::string>& labels) {
  const auto known = [&](const std::string& label, const char* field,
                         const std::vector<std::string>& of) {
    if (absl::c_linear_search(of, label)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", model.name(), ": ", field, " names \"", label, "\", ",
        absl::c_linear_search(labels, label)
            ? "which is not one of the model's labels"
            : absl::StrCat("which the dataset does not have",
                           NearMisses(label, labels))));
  };
  absl::flat_hash_set<std::string> seen;
  for (const std::string& label : model.labels()) {
    FOLDFARM_RETURN_IF_ERROR(known(label, "labels", labels));
    if (!seen.insert(label).second) {
      return absl::InvalidArgumentError(absl::StrCat(
          "model ", model.name(), ": labels names ", label, " twice"));
    }
  }
  const std::vector<std::string> own = LabelsOf(model, labels);
  if (model.arch().has_xgboost() && own.size() > kMostLabelsOfTrees) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", model.name(), ": boosted trees of ", own.size(),
                     " labels, expected at most ", kMostLabelsOfTrees,
                     "; give it some of them (labels)"));
  }
  const auto check_weights = [&](const v1::TrainSpec& train) -> absl::Status {
    for (const auto& [label, weight] : train.positive_weights()) {
      FOLDFARM_RETURN_IF_ERROR(known(label, "positive_weights", own));
    }
    return absl::OkStatus();
  };
  FOLDFARM_RETURN_IF_ERROR(check_weights(model.train()));
  for (const v1::StageSpec& stage : model.stages()) {
    FOLDFARM_RETURN_IF_ERROR(check_weights(stage.train()));
  }
  return absl::OkStatus();
}

std::vector<std::string> LabelNames(const v1::Dataset& dataset) {
  std::vector<std::string> names;
  for (const v1::LabelPrevalence& label : dataset.labels()) {
    names.push_back(label.label());
  }
  return names;
}

const v1::ModelSpec& ModelOf(const JobRow& job, const v1::SweepSpec& spec) {
  return job.model_override.has_value() ? *job.model_override
                                        : spec.models(job.model_index);
}

std::vector<std::string> LabelsOf(const v1::ModelSpec& model,
                                  const std::vector<std::string>& labels) {
  if (model.labels().empty()) return labels;
  std::vector<std::string> own;
  for (const std::string& label : labels) {
    if (absl::c_linear_search(model.labels(), label)) own.push_back(label);
  }
  return own;
}

int EpochsOf(const v1::ModelSpec& model) {
  if (model.arch().has_exec()) return std::max(1, model.arch().exec().epochs());
  if (model.arch().has_xgboost()) {
    const v1::XgboostSpec& trees = model.arch().xgboost();
    const int a_time = std::max(1, trees.epoch_rounds());
    return trees.rounds() / a_time + (trees.rounds() % a_time != 0);
  }
  if (model.stages().empty()) return model.train().epochs();
  int64_t epochs = 0;
  for (const v1::StageSpec& stage : model.stages()) {
    epochs += stage.train().has_epochs() ? stage.train().epochs()
                                         : model.train().epochs();
  }
  return static_cast<int>(
      std::clamp<int64_t>(epochs, 0, std::numeric_limits<int>::max()));
}

int TtaDraws(const v1::SweepSpec& spec) {
  return spec.has_tta() ? spec.tta() : 16;
}

uint32_t JobSeed(const v1::SweepSpec& spec, const v1::ModelSpec& model,
                 int fold) {
  const uint32_t base = model.has_seed()  ? model.seed()
                        : spec.has_seed() ? spec.seed()
                                          : 1;
  return DeriveSeed(base, model.name(), static_cast<uint32_t>(fold));
}

absl::StatusOr<SweepPlan> PlanSweep(const v1::SweepSpec& spec,
                                    const DatasetHeader& dataset,
                                    const std::string& dataset_digest) {
  FOLDFARM_RETURN_IF_ERROR(CheckSweepSpec(spec));
  FOLDFARM_ASSIGN_OR_RETURN(const FoldOptions options,
                            FoldOptionsOf(spec.folds()));
  std::vector<SampleInfo> samples = dataset.samples;
  if (spec.limit_samples() > 0) {
    FOLDFARM_ASSIGN_OR_RETURN(
        samples, LimitSamples(samples, spec.limit_samples(), options.stratify,
                              spec.has_seed() ? spec.seed() : 1));
  }
  // That there are too few samples may be the limit's doing.
  const auto with_limit = [&](const absl::Status& status) -> absl::Status {
    if (spec.limit_samples() == 0) return status;
    return Annotate(status,
                    absl::StrCat("with limit_samples: ", spec.limit_samples()));
  };
  const absl::StatusOr<Folds> assigned = AssignFolds(samples, options);
  FOLDFARM_RETURN_IF_ERROR(with_limit(assigned.status()));
  const Folds& cut = *assigned;
  const int folds = cut.count;
  if (int64_t{folds} * spec.models_size() > kMaxJobs) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sweep ", spec.name(), " has ", spec.models_size(), " models of ",
        folds, " folds, ", int64_t{folds} * spec.models_size(),
        " jobs, expected at most ", kMaxJobs, "; submit it in parts"));
  }
  FOLDFARM_RETURN_IF_ERROR(CheckRules(spec, folds));

  SweepPlan plan;
  plan.folds.resize(static_cast<size_t>(folds));
  for (size_t i = 0; i < samples.size(); ++i) {
    const SampleInfo& sample = samples[i];
    if (!IsLabelledTrain(sample)) continue;
    for (int fold = 0; fold < folds; ++fold) {
      v1::AttemptSpec& lists = plan.folds[static_cast<size_t>(fold)];
      (cut.fold[i] == fold ? lists.add_validation_samples()
                           : lists.add_train_samples())
          ->assign(sample.id);
    }
  }
  std::vector<std::string> fold_keys;
  for (int fold = 0; fold < folds; ++fold) {
    const v1::AttemptSpec& lists = plan.folds[static_cast<size_t>(fold)];
    if (lists.train_samples_size() == 0 ||
        lists.validation_samples_size() == 0) {
      return absl::InvalidArgumentError(absl::StrCat(
          "fold ", fold, " has ", lists.train_samples_size(),
          " samples to train on and ", lists.validation_samples_size(),
          " to validate on, expected at least 1 of each"));
    }
    fold_keys.push_back(SampleDigest(lists));
  }
  const int models = spec.models_size();
  std::vector<std::string> model_keys;
  for (const v1::ModelSpec& model : spec.models()) {
    FOLDFARM_RETURN_IF_ERROR(CheckModelLabels(model, dataset.labels));
    FOLDFARM_RETURN_IF_ERROR(with_limit(CheckTrainSamples(model, plan.folds)));
    FOLDFARM_RETURN_IF_ERROR(CheckStages(model, samples, cut));
    FOLDFARM_ASSIGN_OR_RETURN(
        model_keys.emplace_back(),
        ModelKey(model, LabelsOf(model, dataset.labels), dataset.labels));
  }
  const bool model_major = spec.order() == v1::JOB_ORDER_MODEL_MAJOR;
  for (int i = 0; i < models * folds; ++i) {
    PlannedJob job;
    job.model = model_major ? i / folds : i % models;
    job.fold = model_major ? i % folds : i / models;
    const v1::ModelSpec& model = spec.models(job.model);
    job.slots = model.has_slots() ? model.slots() : 1;
    job.needs_exec = model.arch().has_exec();
    job.epochs = EpochsOf(model);
    job.result_key =
        KeyOf(dataset_digest, fold_keys[static_cast<size_t>(job.fold)],
              JobSeed(spec, model, job.fold), TtaDraws(spec),
              model_keys[static_cast<size_t>(job.model)]);
    plan.jobs.push_back(std::move(job));
  }
  return plan;
}

absl::StatusOr<std::string> ResultKey(const KeyedJob& job) {
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::string model,
      ModelKey(job.model, job.own_labels, job.all_labels));
  return KeyOf(job.dataset_digest, SampleDigest(job.samples),
               JobSeed(job.spec, job.model, job.fold), TtaDraws(job.spec),
               model);
}

}  // namespace foldfarm
