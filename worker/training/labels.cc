#include "worker/training/labels.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

const std::string* Cell(const SampleInfo& sample, absl::string_view column) {
  if (column == "instrument_type") return &sample.instrument_type;
  if (column == "split") return &sample.split;
  return nullptr;
}

absl::Status UnknownLabel(const std::string& where, const std::string& label,
                          const DatasetHeader& header) {
  return absl::InvalidArgumentError(
      absl::StrCat(where, " names \"", label, "\", which the dataset lacks; ",
                   "expected some of ", absl::StrJoin(header.labels, ", ")));
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> LabelColumns(
    const DatasetHeader& header, const std::vector<std::string>& chosen) {
  std::vector<bool> is_chosen(header.labels.size(), chosen.empty());
  for (const std::string& label : chosen) {
    const auto it =
        std::find(header.labels.begin(), header.labels.end(), label);
    if (it == header.labels.end()) return UnknownLabel("labels", label, header);
    const auto column = static_cast<size_t>(it - header.labels.begin());
    if (is_chosen[column]) {
      return absl::InvalidArgumentError(
          absl::StrCat("labels names \"", label, "\" twice, expected it once"));
    }
    is_chosen[column] = true;
  }
  std::vector<int64_t> columns;
  for (size_t i = 0; i < is_chosen.size(); ++i) {
    if (is_chosen[i]) columns.push_back(static_cast<int64_t>(i));
  }
  return columns;
}

std::vector<std::string> LabelNames(const DatasetHeader& header,
                                    const std::vector<int64_t>& columns) {
  std::vector<std::string> names;
  for (const int64_t column : columns) names.push_back(header.labels[column]);
  return names;
}

absl::StatusOr<std::vector<float>> LabelsOf(
    const PreparedDataset& dataset, const std::vector<std::string>& ids,
    const std::vector<int64_t>& columns) {
  std::vector<float> labels;
  labels.reserve(ids.size() * columns.size());
  for (const std::string& id : ids) {
    FOLDFARM_ASSIGN_OR_RETURN(const int64_t index, dataset.IndexOf(id));
    const auto row = dataset.labels().subspan(index * dataset.num_labels(),
                                              dataset.num_labels());
    for (const int64_t column : columns) labels.push_back(row[column]);
  }
  return labels;
}

absl::StatusOr<std::vector<std::string>> SelectSamples(
    const PreparedDataset& dataset, const std::vector<std::string>& ids,
    const std::map<std::string, std::string>& wanted,
    const std::string& where) {
  for (const auto& [column, value] : wanted) {
    if (Cell(SampleInfo(), column) == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, " has no column \"", column,
          "\" to choose by in the dataset, expected instrument_type or split"));
    }
  }
  if (wanted.empty()) return ids;
  std::vector<std::string> selected;
  std::map<std::string, std::set<std::string>> values;
  for (const std::string& id : ids) {
    FOLDFARM_ASSIGN_OR_RETURN(const int64_t index, dataset.IndexOf(id));
    const SampleInfo& sample = dataset.header().samples[index];
    bool agrees = true;
    for (const auto& [column, value] : wanted) {
      const std::string& cell = *Cell(sample, column);
      values[column].insert(cell);
      agrees = agrees && cell == value;
    }
    if (agrees) selected.push_back(id);
  }
  if (selected.size() >= 2) return selected;
  std::vector<std::string> there;
  for (const auto& [column, cells] : values) {
    there.push_back(
        absl::StrCat(column, " is one of ", absl::StrJoin(cells, ", ")));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      where, " {", absl::StrJoin(wanted, ", ", absl::PairFormatter(": ")),
      "} leaves ", selected.size(), " of ", ids.size(),
      " train samples, expected at least 2; their ",
      absl::StrJoin(there, ", their ")));
}

absl::StatusOr<PositiveWeights> WeighPositives(
    const PreparedDataset& dataset,
    const std::vector<std::string>& train_samples,
    const std::vector<int64_t>& columns, const TrainOptions& options) {
  const DatasetHeader& header = dataset.header();
  for (const auto& [label, weight] : options.positive_weights) {
    if (std::find(header.labels.begin(), header.labels.end(), label) ==
        header.labels.end()) {
      return UnknownLabel("train.positive_weights", label, header);
    }
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<float> labels,
                            LabelsOf(dataset, train_samples, columns));
  PositiveWeights result;
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string& label = header.labels[columns[i]];
    const auto named = options.positive_weights.find(label);
    if (named != options.positive_weights.end()) {
      result.weights.push_back(named->second);
      continue;
    }
    double positives = 0;
    for (size_t j = i; j < labels.size(); j += columns.size()) {
      positives += labels[j];
    }
    const double negatives =
        static_cast<double>(train_samples.size()) - positives;
    if (options.balance > 0 && positives == 0) {
      result.no_positive.push_back(label);
    }
    // A label that every sample has would weigh nothing.
    const bool usable = options.balance > 0 && positives > 0 && negatives > 0;
    result.weights.push_back(
        usable ? std::pow(negatives / positives, options.balance) : 1);
  }
  return result;
}

}  // namespace foldfarm
