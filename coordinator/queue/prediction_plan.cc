#include "coordinator/queue/prediction_plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/attempt_files.h"
#include "common/base/digest.h"
#include "common/base/status_macros.h"
#include "coordinator/queue/model_key.h"
#include "coordinator/queue/near_misses.h"

namespace foldfarm {
namespace {

// Changes when the same networks no longer predict the same.
constexpr absl::string_view kPredictionProtocol = "1";
constexpr int kSamplesOfShare = 100;
// A sweep of 100 folds in 100 shares each.
constexpr int kMaxParts = 10000;

absl::Status CheckFiles(const PredictingModel& model, size_t folds) {
  const auto refuse = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat("model ", model.spec.name(), ": ", what));
  };
  if (model.files.size() != folds || folds == 0) {
    return refuse(absl::StrCat("it has ", model.files.size(),
                               " folds, expected ", std::max<size_t>(folds, 1),
                               " as the others"));
  }
  for (size_t fold = 0; fold < folds; ++fold) {
    if (model.files[fold].empty()) {
      return refuse(absl::StrCat("fold ", fold, " has no files"));
    }
    absl::flat_hash_set<std::string> names;
    for (const v1::ArtifactRef& file : model.files[fold]) {
      if (const absl::Status status = CheckResultFileName(file.name());
          !status.ok()) {
        return refuse(absl::StrCat("fold ", fold, ": ", status.message()));
      }
      if (!names.insert(file.name()).second) {
        return refuse(
            absl::StrCat("fold ", fold, ": file ", file.name(), " twice"));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int> SharesOf(const PredictionOptions& options, int folds) {
  const int samples = static_cast<int>(options.sample_ids.size());
  const int most = std::max(1, std::min(samples, kMaxParts / folds));
  if (options.shares < 0 || options.shares > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("shares is ", options.shares, ", expected 1 to ", most,
                     " for ", samples, " samples and ", folds,
                     " folds, or 0 to let the farm choose"));
  }
  if (options.shares > 0) return options.shares;
  const int usual = (samples + kSamplesOfShare / 2) / kSamplesOfShare;
  return std::clamp(usual, 1, most);
}

// The files' contents, whatever the order in which they were named.
std::string FilesKey(std::vector<v1::ArtifactRef> files) {
  absl::c_sort(files, [](const v1::ArtifactRef& a, const v1::ArtifactRef& b) {
    return a.name() < b.name();
  });
  return absl::StrJoin(files, " ",
                       [](std::string* out, const v1::ArtifactRef& file) {
                         absl::StrAppend(out, file.name(), "=", file.digest());
                       });
}

}  // namespace

absl::StatusOr<std::vector<PredictingModel>> ChooseModels(
    std::vector<PredictingModel> models, const std::string& source,
    absl::Span<const std::string> only) {
  std::vector<std::string> names;
  for (const PredictingModel& model : models) {
    names.push_back(model.spec.name());
  }
  for (const std::string& name : only) {
    const auto model = absl::c_find(names, name);
    if (model == names.end()) {
      return absl::NotFoundError(absl::StrCat(source, " has no model \"", name,
                                              "\"", NearMisses(name, names)));
    }
    const std::string& obstacle =
        models[static_cast<size_t>(model - names.begin())].obstacle;
    if (!obstacle.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("model ", name, " cannot predict: ", obstacle));
    }
  }
  std::vector<PredictingModel> chosen;
  std::vector<std::string> obstacles;
  for (PredictingModel& model : models) {
    if (!only.empty() && !absl::c_linear_search(only, model.spec.name())) {
      continue;
    }
    if (model.obstacle.empty()) {
      chosen.push_back(std::move(model));
    } else {
      obstacles.push_back(
          absl::StrCat(model.spec.name(), ": ", model.obstacle));
    }
  }
  if (chosen.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no model of ", source, " can predict; ",
                     absl::StrJoin(obstacles, "; ")));
  }
  return chosen;
}

absl::StatusOr<std::vector<std::string>> SelectSamples(
    const DatasetHeader& dataset, const std::string& dataset_name,
    const std::string& split, absl::Span<const std::string> ids) {
  if (split.empty() == ids.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(split.empty() ? "neither a split nor samples are named"
                                   : "a split and samples are named",
                     ", expected one of the two"));
  }
  std::vector<std::string> known;
  std::map<std::string, int> splits;
  for (const SampleInfo& sample : dataset.samples) {
    known.push_back(sample.id);
    ++splits[sample.split];
  }
  if (!split.empty()) {
    const std::vector<std::string> wanted = absl::StrSplit(split, ',');
    for (const std::string& name : wanted) {
      if (splits.count(name) > 0) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "dataset ", dataset_name, " has no samples of split \"", name,
          "\"; it has ",
          absl::StrJoin(splits, ", ", [](std::string* out, const auto& count) {
            absl::StrAppend(out, count.second, " of ", count.first);
          })));
    }
    std::vector<std::string> selected;
    for (const SampleInfo& sample : dataset.samples) {
      if (absl::c_linear_search(wanted, sample.split)) {
        selected.push_back(sample.id);
      }
    }
    return selected;
  }
  const absl::flat_hash_set<absl::string_view> there(known.begin(),
                                                     known.end());
  absl::flat_hash_set<absl::string_view> seen;
  for (const std::string& id : ids) {
    if (!there.contains(id)) {
      return absl::NotFoundError(absl::StrCat("dataset ", dataset_name,
                                              " has no sample \"", id, "\"",
                                              NearMisses(id, known)));
    }
    if (!seen.insert(id).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample ", id, " is named twice"));
    }
  }
  return std::vector<std::string>(ids.begin(), ids.end());
}

absl::Status CheckSameLabels(const std::vector<std::string>& labels,
                             const std::string& dataset_name,
                             const std::vector<std::string>& trained,
                             const std::string& source) {
  if (labels == trained) return absl::OkStatus();
  const size_t common = std::min(labels.size(), trained.size());
  size_t at = 0;
  while (at < common && labels[at] == trained[at]) ++at;
  const auto quote = [&](const std::vector<std::string>& list) {
    return at < list.size() ? absl::StrCat("\"", list[at], "\"") : "none";
  };
  return absl::InvalidArgumentError(absl::StrCat(
      "dataset ", dataset_name, " has other labels than the models of ", source,
      ": label ", at + 1, " is ", quote(labels), ", expected ", quote(trained),
      "; got ", absl::StrJoin(labels, ","), ", expected ",
      absl::StrJoin(trained, ","), " in this order"));
}

absl::StatusOr<PredictionPlan> PlanPrediction(
    const PredictionOptions& options, absl::Span<const PredictingModel> models,
    const DatasetHeader& dataset, const std::string& dataset_digest) {
  PredictionPlan made;
  v1::SweepSpec& spec = made.spec;
  spec.set_name(options.name);
  spec.set_tta(options.tta);
  spec.set_seed(options.seed);
  spec.set_priority(options.priority);
  for (const PredictingModel& model : models) {
    *spec.add_models() = model.spec;
  }
  FOLDFARM_RETURN_IF_ERROR(CheckSweepSpec(spec));
  const size_t folds = models.front().files.size();
  for (const PredictingModel& model : models) {
    FOLDFARM_RETURN_IF_ERROR(CheckFiles(model, folds));
    FOLDFARM_RETURN_IF_ERROR(CheckModelLabels(model.spec, dataset.labels));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const int shares,
                            SharesOf(options, static_cast<int>(folds)));
  v1::PredictionSpec& prediction = *spec.mutable_prediction();
  prediction.set_source(options.source);
  prediction.set_samples(options.samples);
  prediction.set_shares(shares);
  prediction.set_folds(static_cast<int>(folds));

  const auto begin = [&](int share) {
    return options.sample_ids.begin() +
           static_cast<ptrdiff_t>(options.sample_ids.size()) * share / shares;
  };
  std::vector<std::string> share_keys;
  for (int share = 0; share < shares; ++share) {
    share_keys.push_back(
        Sha256Hex(absl::StrJoin(begin(share), begin(share + 1), "\n")));
  }
  for (size_t fold = 0; fold < folds; ++fold) {
    for (int share = 0; share < shares; ++share) {
      v1::AttemptSpec& part = made.plan.folds.emplace_back();
      part.set_fold(static_cast<int>(fold));
      part.mutable_predict_samples()->Add(begin(share), begin(share + 1));
    }
  }
  for (int m = 0; m < spec.models_size(); ++m) {
    const PredictingModel& model = models[static_cast<size_t>(m)];
    FOLDFARM_ASSIGN_OR_RETURN(
        const std::string model_key,
        ModelKey(model.spec, LabelsOf(model.spec, dataset.labels),
                 dataset.labels));
    for (int fold = 0; fold < static_cast<int>(folds); ++fold) {
      const auto& files = model.files[static_cast<size_t>(fold)];
      for (v1::ArtifactRef file : files) {
        file.set_name(absl::StrCat(fold, "/", file.name()));
        made.inputs.push_back({m, std::move(file)});
      }
      for (int share = 0; share < shares; ++share) {
        PlannedJob job;
        job.model = m;
        job.fold = fold * shares + share;
        job.slots = model.spec.has_slots() ? model.spec.slots() : 1;
        job.epochs = 1;
        job.result_key = Sha256Hex(
            absl::StrCat("prediction protocol ", kPredictionProtocol,
                         "\ndataset ", dataset_digest, "\nsamples ",
                         share_keys[static_cast<size_t>(share)], "\nseed ",
                         JobSeed(spec, model.spec, fold), "\ntta ", options.tta,
                         "\nfiles ", FilesKey(files), "\nmodel ", model_key));
        made.plan.jobs.push_back(std::move(job));
      }
    }
  }
  return made;
}

int NetworkFold(const v1::SweepSpec& spec, int job_fold) {
  if (!spec.has_prediction()) return job_fold;
  return job_fold / std::max(1, spec.prediction().shares());
}

std::vector<v1::ArtifactRef> InputsOfFold(
    absl::Span<const v1::ArtifactRef> inputs, int fold) {
  std::vector<v1::ArtifactRef> own;
  for (const v1::ArtifactRef& input : inputs) {
    // A plain file name has no slash.
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(input.name(), absl::MaxSplits('/', 1));
    v1::ArtifactRef& file = own.emplace_back(input);
    if (parts.second.empty()) continue;
    int of = -1;
    if (absl::SimpleAtoi(parts.first, &of) && of == fold) {
      file.set_name(parts.second);
    } else {
      own.pop_back();
    }
  }
  return own;
}

}  // namespace foldfarm
