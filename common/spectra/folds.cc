#include "common/spectra/folds.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

constexpr size_t kNamesShown = 5;

bool IsFolded(const SampleInfo& sample) {
  return sample.labelled && sample.split == "train";
}

absl::StatusOr<std::string> Column(const SampleInfo& sample,
                                   const std::string& column) {
  if (column == "instrument_type") return sample.instrument_type;
  if (column == "split") return sample.split;
  return absl::InvalidArgumentError(
      absl::StrCat("folds: no column '", column,
                   "' in the dataset, expected instrument_type or split"));
}

// numpy's RandomState.shuffle of a vector.
void Shuffle(std::mt19937& random, std::vector<int>& values) {
  for (uint32_t i = static_cast<uint32_t>(values.size()); i-- > 1;) {
    uint32_t mask = i;
    for (int shift = 1; shift < 32; shift *= 2) mask |= mask >> shift;
    uint32_t j;
    do {
      j = static_cast<uint32_t>(random()) & mask;
    } while (j > i);
    std::swap(values[i], values[j]);
  }
}

// As scikit-learn: sorted by class, every count-th sample goes to the same
// fold, which says how many of each class a fold gets; within a class the
// folds are shuffled.
absl::Status CutStratified(absl::Span<const SampleInfo> samples,
                           const FoldOptions& options, Folds* folds) {
  if (options.count < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "folds: count is ", options.count, ", expected at least 2"));
  }
  // The classes in the order of their first sample.
  std::map<std::string, size_t> class_of_value;
  std::vector<std::vector<size_t>> members;
  size_t largest = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!IsFolded(samples[i])) continue;
    FOLDFARM_ASSIGN_OR_RETURN(const std::string value,
                              Column(samples[i], options.stratify));
    const auto [it, is_new] = class_of_value.emplace(value, members.size());
    if (is_new) members.emplace_back();
    members[it->second].push_back(i);
    largest = std::max(largest, members[it->second].size());
  }
  const size_t count = static_cast<size_t>(options.count);
  if (largest < count) {
    return absl::InvalidArgumentError(
        absl::StrCat("folds: the largest class of ", options.stratify, " has ",
                     largest, " labelled train samples, expected at least ",
                     count, ", one for each fold"));
  }
  std::mt19937 random(options.seed);
  size_t position = 0;  // In the list of samples sorted by class.
  for (const std::vector<size_t>& rows : members) {
    std::vector<int> share(count, 0);
    for (size_t i = 0; i < rows.size(); ++i) ++share[position++ % count];
    std::vector<int> fold_of_row;
    for (size_t fold = 0; fold < count; ++fold) {
      fold_of_row.insert(fold_of_row.end(), static_cast<size_t>(share[fold]),
                         static_cast<int>(fold));
    }
    Shuffle(random, fold_of_row);
    for (size_t i = 0; i < rows.size(); ++i) {
      folds->fold[rows[i]] = fold_of_row[i];
    }
  }
  folds->count = options.count;
  return absl::OkStatus();
}

absl::Status CutExplicitly(absl::Span<const SampleInfo> samples,
                           const FoldOptions& options, Folds* folds) {
  std::vector<std::string> lacking;
  size_t used = 0;
  std::map<int, int64_t> sizes;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!IsFolded(samples[i])) continue;
    const auto it = options.assignment.find(samples[i].id);
    if (it == options.assignment.end()) {
      lacking.push_back(samples[i].id);
      continue;
    }
    if (it->second < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("folds: sample ", it->first, " has fold ", it->second,
                       ", expected 0 or more"));
    }
    ++used;
    ++sizes[it->second];
    folds->fold[i] = it->second;
  }
  if (!lacking.empty()) {
    const size_t shown = std::min(lacking.size(), kNamesShown);
    return absl::InvalidArgumentError(absl::StrCat(
        "folds: ", lacking.size(),
        " labelled train samples of the dataset have no fold: ",
        absl::StrJoin(lacking.begin(),
                      lacking.begin() + static_cast<ptrdiff_t>(shown), ", "),
        lacking.size() > shown
            ? absl::StrCat(" and ", lacking.size() - shown, " more")
            : ""));
  }
  if (sizes.empty()) {
    return absl::InvalidArgumentError(
        "folds: the dataset has no labelled train samples");
  }
  folds->count = sizes.rbegin()->first + 1;
  if (sizes.size() != static_cast<size_t>(folds->count) || folds->count < 2) {
    int empty = 0;
    while (sizes.count(empty) > 0) ++empty;
    return absl::InvalidArgumentError(absl::StrCat(
        "folds: fold ", empty, " holds out no sample; ",
        "expected two folds or more, numbered from 0 without gaps"));
  }
  folds->ignored_assignments =
      static_cast<int64_t>(options.assignment.size() - used);
  return absl::OkStatus();
}

absl::Status HoldOut(absl::Span<const SampleInfo> samples,
                     const FoldOptions& options, Folds* folds) {
  int64_t held_out = 0;
  int64_t kept = 0;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (!IsFolded(samples[i])) continue;
    FOLDFARM_ASSIGN_OR_RETURN(const std::string value,
                              Column(samples[i], options.holdout_column));
    const bool held = value == options.holdout_value;
    folds->fold[i] = held ? 0 : Folds::kNotFolded;
    ++(held ? held_out : kept);
  }
  if (held_out == 0 || kept == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "folds: holdout {", options.holdout_column, ": ", options.holdout_value,
        "} holds out ", held_out, " of ", held_out + kept,
        " labelled train samples, expected some but not all"));
  }
  folds->count = 1;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Folds> AssignFolds(absl::Span<const SampleInfo> samples,
                                  const FoldOptions& options) {
  Folds folds;
  folds.fold.assign(samples.size(), Folds::kNotFolded);
  if (!options.assignment.empty()) {
    FOLDFARM_RETURN_IF_ERROR(CutExplicitly(samples, options, &folds));
  } else if (!options.holdout_column.empty()) {
    FOLDFARM_RETURN_IF_ERROR(HoldOut(samples, options, &folds));
  } else {
    FOLDFARM_RETURN_IF_ERROR(CutStratified(samples, options, &folds));
  }
  return folds;
}

}  // namespace foldfarm
