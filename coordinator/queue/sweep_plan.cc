#include "coordinator/queue/sweep_plan.h"

#include <google/protobuf/util/json_util.h>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/digest.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/spectra/folds.h"

namespace foldfarm {
namespace {

// Changes when the same specification no longer gives the same result.
constexpr absl::string_view kTrainerProtocol = "1";
constexpr int kMaxFolds = 100;
constexpr int kMaxModels = 10000;

absl::Status CheckSpec(const v1::SweepSpec& spec) {
  if (!IsValidName(spec.name(), 64)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sweep name is \"", spec.name(),
                     "\", expected 1 to 64 of [A-Za-z0-9._-]"));
  }
  if (spec.models_size() == 0 || spec.models_size() > kMaxModels) {
    return absl::InvalidArgumentError(
        absl::StrCat("sweep ", spec.name(), " has ", spec.models_size(),
                     " models, expected 1 to ", kMaxModels));
  }
  if (spec.has_tta() && (spec.tta() < 1 || spec.tta() > 256)) {
    return absl::InvalidArgumentError(
        absl::StrCat("tta is ", spec.tta(), ", expected 1 to 256"));
  }
  absl::flat_hash_set<std::string> names;
  for (const v1::ModelSpec& model : spec.models()) {
    if (!IsValidName(model.name(), 100)) {
      return absl::InvalidArgumentError(
          absl::StrCat("model name is \"", model.name(),
                       "\", expected 1 to 100 of [A-Za-z0-9._-]"));
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

absl::StatusOr<std::string> CanonicalModel(const v1::ModelSpec& model) {
  v1::ModelSpec copy = model;
  copy.clear_name();
  copy.clear_seed();  // The job's own seed is in the key.
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(copy, &json);
  if (!status.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "model ", model.name(), ": ", std::string(status.message())));
  }
  return json;
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
  FOLDFARM_RETURN_IF_ERROR(CheckSpec(spec));
  FOLDFARM_ASSIGN_OR_RETURN(const FoldOptions options,
                            FoldOptionsOf(spec.folds()));
  FOLDFARM_ASSIGN_OR_RETURN(const Folds cut,
                            AssignFolds(dataset.samples, options));
  const int folds = cut.count;

  SweepPlan plan;
  plan.folds.resize(static_cast<size_t>(folds));
  for (size_t i = 0; i < dataset.samples.size(); ++i) {
    const SampleInfo& sample = dataset.samples[i];
    if (!sample.labelled || sample.split != "train") continue;
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
    FOLDFARM_ASSIGN_OR_RETURN(model_keys.emplace_back(), CanonicalModel(model));
  }
  const bool model_major = spec.order() == v1::JOB_ORDER_MODEL_MAJOR;
  for (int i = 0; i < models * folds; ++i) {
    PlannedJob job;
    job.model = model_major ? i / folds : i % models;
    job.fold = model_major ? i % folds : i / models;
    const v1::ModelSpec& model = spec.models(job.model);
    job.slots = model.has_slots() ? model.slots() : 1;
    job.epochs = model.train().epochs();
    job.result_key = Sha256Hex(absl::StrCat(
        "trainer protocol ", kTrainerProtocol, "\ndataset ", dataset_digest,
        "\nsamples ", fold_keys[static_cast<size_t>(job.fold)], "\nseed ",
        JobSeed(spec, model, job.fold), "\ntta ", TtaDraws(spec), "\nmodel ",
        model_keys[static_cast<size_t>(job.model)]));
    plan.jobs.push_back(std::move(job));
  }
  return plan;
}

}  // namespace foldfarm
