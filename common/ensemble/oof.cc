#include "common/ensemble/oof.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

absl::Status CheckSize(absl::string_view what, size_t got, size_t expected) {
  if (got == expected) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": got ", got, " values, expected ", expected));
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// `values` is [..., samples, labels]; with a model NaN where it has no label.
absl::Status CheckRange(const OofMatrix& oof, absl::string_view what,
                        absl::Span<const double> values,
                        const OofModel* model = nullptr) {
  const size_t cells = oof.num_samples() * oof.num_labels();
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t cell = i % cells;
    const bool present =
        model == nullptr || model->Predicts(cell % oof.num_labels());
    // Written so that NaN fails the first.
    if (present ? values[i] >= 0.0 && values[i] <= 1.0
                : std::isnan(values[i])) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": sample ", oof.sample_ids[cell / oof.num_labels()], ", label ",
        oof.labels[cell % oof.num_labels()], ": got ", values[i], ", expected ",
        present ? "a number in [0, 1]"
                : "none, for the model does not predict it"));
  }
  return absl::OkStatus();
}

absl::Status CheckUnique(absl::string_view what, absl::string_view name,
                         std::set<absl::string_view>& seen) {
  if (seen.insert(name).second) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("duplicate ", what, " \"", name, "\""));
}

}  // namespace

absl::Status ValidateOofModel(const OofMatrix& oof, const OofModel& model) {
  const size_t cells = oof.num_samples() * oof.num_labels();
  const std::string what = absl::StrCat("model ", model.name);
  FOLDFARM_RETURN_IF_ERROR(CheckSize(what, model.probabilities.size(), cells));
  if (!model.has_label.empty()) {
    FOLDFARM_RETURN_IF_ERROR(CheckSize(absl::StrCat(what, ", its labels"),
                                       model.has_label.size(),
                                       oof.num_labels()));
    if (std::count(model.has_label.begin(), model.has_label.end(), true) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " predicts no label"));
    }
  }
  FOLDFARM_RETURN_IF_ERROR(CheckRange(oof, what, model.probabilities, &model));
  if (model.draws.size() % cells != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, ": got ", model.draws.size(),
        " values of single draws, expected a multiple of ", cells));
  }
  FOLDFARM_RETURN_IF_ERROR(CheckRange(oof, what, model.draws, &model));
  return absl::OkStatus();
}

absl::Status ValidateOof(const OofMatrix& oof) {
  const size_t samples = oof.num_samples();
  const size_t cells = samples * oof.num_labels();
  if (cells == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("out-of-fold predictions of ", samples, " samples and ",
                     oof.num_labels(), " labels, expected at least one each"));
  }
  FOLDFARM_RETURN_IF_ERROR(
      CheckSize("instrument types", oof.instrument_types.size(), samples));
  FOLDFARM_RETURN_IF_ERROR(CheckSize("folds", oof.folds.size(), samples));
  FOLDFARM_RETURN_IF_ERROR(CheckSize("truth", oof.truth.size(), cells));
  std::set<absl::string_view> names;
  for (size_t i = 0; i < samples; ++i) {
    FOLDFARM_RETURN_IF_ERROR(CheckUnique("sample", oof.sample_ids[i], names));
    if (oof.folds[i] < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("sample ", oof.sample_ids[i], ": fold is ", oof.folds[i],
                       ", expected 0 or more"));
    }
  }
  FOLDFARM_RETURN_IF_ERROR(CheckRange(oof, "truth", oof.truth));
  names.clear();
  for (const OofModel& model : oof.models) {
    FOLDFARM_RETURN_IF_ERROR(CheckUnique("model", model.name, names));
    FOLDFARM_RETURN_IF_ERROR(ValidateOofModel(oof, model));
  }
  return absl::OkStatus();
}

std::vector<double> MeanOfModels(const OofMatrix& oof,
                                 absl::Span<const size_t> models) {
  const size_t labels = oof.num_labels();
  std::vector<double> mean(oof.num_samples() * labels, 0.0);
  std::vector<double> count(labels, 0.0);
  for (size_t model : models) {
    const OofModel& from = oof.models[model];
    for (size_t l = 0; l < labels; ++l) {
      if (!from.Predicts(l)) continue;
      ++count[l];
      for (size_t i = l; i < mean.size(); i += labels) {
        mean[i] += from.probabilities[i];
      }
    }
  }
  for (size_t i = 0; i < mean.size(); ++i) {
    const double models_of_label = count[i % labels];
    mean[i] = models_of_label == 0 ? kNaN : mean[i] / models_of_label;
  }
  return mean;
}

std::vector<bool> PredictedLabels(const OofMatrix& oof) {
  std::vector<bool> predicted(oof.num_labels(), false);
  for (size_t l = 0; l < predicted.size(); ++l) {
    for (const OofModel& model : oof.models) {
      if (model.Predicts(l)) predicted[l] = true;
    }
  }
  return predicted;
}

std::vector<double> OnlyLabels(const OofMatrix& oof,
                               std::vector<double> probabilities,
                               const std::vector<bool>& labels) {
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (!labels[i % oof.num_labels()]) probabilities[i] = kNaN;
  }
  return probabilities;
}

std::vector<double> MeanOfModels(const OofMatrix& oof) {
  std::vector<size_t> all(oof.models.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return MeanOfModels(oof, all);
}

std::vector<double> SelectRows(absl::Span<const double> values,
                               size_t num_labels,
                               absl::Span<const size_t> samples) {
  std::vector<double> rows;
  rows.reserve(samples.size() * num_labels);
  for (const size_t sample : samples) {
    const auto row = values.subspan(sample * num_labels, num_labels);
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

OofMatrix SelectSamples(const OofMatrix& oof,
                        absl::Span<const size_t> samples) {
  OofMatrix part;
  part.labels = oof.labels;
  for (const size_t sample : samples) {
    part.sample_ids.push_back(oof.sample_ids[sample]);
    part.instrument_types.push_back(oof.instrument_types[sample]);
    part.folds.push_back(oof.folds[sample]);
  }
  part.truth = SelectRows(oof.truth, oof.num_labels(), samples);
  for (const OofModel& model : oof.models) {
    OofModel& selected = part.models.emplace_back();
    selected.name = model.name;
    selected.has_label = model.has_label;
    selected.probabilities =
        SelectRows(model.probabilities, oof.num_labels(), samples);
  }
  return part;
}

std::map<std::string, std::vector<size_t>> SamplesByInstrument(
    const OofMatrix& oof) {
  std::map<std::string, std::vector<size_t>> samples;
  for (size_t i = 0; i < oof.num_samples(); ++i) {
    samples[oof.instrument_types[i]].push_back(i);
  }
  return samples;
}

std::vector<FoldSplit> SplitFolds(const OofMatrix& oof) {
  std::map<int, FoldSplit> by_fold;
  for (const int fold : oof.folds) by_fold[fold];
  std::vector<FoldSplit> splits;
  if (by_fold.size() < 2) return splits;
  for (auto& [fold, split] : by_fold) {
    for (size_t i = 0; i < oof.num_samples(); ++i) {
      (oof.folds[i] == fold ? split.held_out : split.others).push_back(i);
    }
    splits.push_back(std::move(split));
  }
  return splits;
}

std::vector<double> PriorPredictions(const OofMatrix& oof) {
  const size_t labels = oof.num_labels();
  struct Sums {
    std::vector<double> positive;
    double samples = 0;
  };
  std::map<int, Sums> by_fold;
  Sums all{std::vector<double>(labels, 0.0)};
  for (size_t i = 0; i < oof.num_samples(); ++i) {
    Sums& fold = by_fold[oof.folds[i]];
    fold.positive.resize(labels, 0.0);
    for (size_t l = 0; l < labels; ++l) {
      fold.positive[l] += oof.truth[i * labels + l];
      all.positive[l] += oof.truth[i * labels + l];
    }
    ++fold.samples;
    ++all.samples;
  }
  const bool alone = by_fold.size() == 1;
  std::vector<double> prior(oof.num_samples() * labels);
  for (size_t i = 0; i < oof.num_samples(); ++i) {
    const Sums& fold = by_fold[oof.folds[i]];
    const double samples = alone ? all.samples : all.samples - fold.samples;
    for (size_t l = 0; l < labels; ++l) {
      const double positive =
          alone ? all.positive[l] : all.positive[l] - fold.positive[l];
      prior[i * labels + l] = positive / samples;
    }
  }
  return prior;
}

}  // namespace foldfarm
