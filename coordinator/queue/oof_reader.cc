#include "coordinator/queue/oof_reader.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepared_dataset.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {
namespace {

// Collects a model's folds.
class ModelLoader {
 public:
  ModelLoader(const OofMatrix& oof, std::string name,
              std::vector<bool> has_label, bool with_draws)
      : num_labels_(oof.num_labels()), with_draws_(with_draws) {
    model_.name = std::move(name);
    model_.probabilities.resize(oof.truth.size(),
                                std::numeric_limits<double>::quiet_NaN());
    for (size_t k = 0; k < num_labels_; ++k) {
      if (has_label[k]) columns_.push_back(k);
    }
    if (columns_.size() < num_labels_) model_.has_label = std::move(has_label);
  }

  absl::Status AddFold(const std::string& path,
                       const absl::flat_hash_map<std::string, size_t>& row_of) {
    FOLDFARM_ASSIGN_OR_RETURN(const auto file, TensorFile::Open(path));
    FOLDFARM_ASSIGN_OR_RETURN(const std::string text,
                              file->Metadata("sample_ids"));
    const nlohmann::json ids = ParseJson(text);
    if (!ids.is_array() || !absl::c_all_of(ids, [](const nlohmann::json& id) {
          return id.is_string();
        })) {
      return absl::DataLossError(absl::StrCat(path, ": it names no samples"));
    }
    std::vector<std::optional<size_t>> rows;
    for (const nlohmann::json& id : ids) {
      const auto row = row_of.find(id.get<std::string>());
      rows.push_back(row == row_of.end() ? std::nullopt
                                         : std::optional(row->second));
    }
    const auto n = static_cast<int64_t>(rows.size());
    const auto labels = static_cast<int64_t>(columns_.size());
    FOLDFARM_ASSIGN_OR_RETURN(const absl::Span<const float> values,
                              file->F32("probabilities", {n, labels}));
    Place(values, rows, model_.probabilities.data());
    if (!with_draws_) return absl::OkStatus();
    FOLDFARM_ASSIGN_OR_RETURN(const absl::Span<const float> draws,
                              file->F32("draws", {-1, n, labels}));
    const size_t cells = model_.probabilities.size();
    const size_t count = values.empty() ? 0 : draws.size() / values.size();
    if (!first_count_.has_value()) {
      first_count_ = count;
      model_.draws.resize(count * cells,
                          std::numeric_limits<double>::quiet_NaN());
    }
    if (count != *first_count_) {
      // Nothing can be said of a number of draws that folds do not share.
      with_draws_ = false;
      model_.draws.clear();
      return absl::OkStatus();
    }
    for (size_t d = 0; d < count; ++d) {
      Place(draws.subspan(d * values.size(), values.size()), rows,
            model_.draws.data() + d * cells);
    }
    return absl::OkStatus();
  }

  OofModel Take() && { return std::move(model_); }

 private:
  void Place(absl::Span<const float> values,
             const std::vector<std::optional<size_t>>& rows,
             double* table) const {
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].has_value()) continue;
      for (size_t k = 0; k < columns_.size(); ++k) {
        table[*rows[i] * num_labels_ + columns_[k]] =
            values[i * columns_.size() + k];
      }
    }
  }

  const size_t num_labels_;
  bool with_draws_;
  OofModel model_;
  // The model's labels in the table.
  std::vector<size_t> columns_;
  std::optional<size_t> first_count_;
};

}  // namespace

absl::StatusOr<OofReader> OofReader::Open(
    ArtifactFiles& files, const std::string& dataset_digest,
    const std::vector<v1::AttemptSpec>& folds, std::optional<int> only) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path, files.Find(dataset_digest));
  FOLDFARM_ASSIGN_OR_RETURN(const auto file, TensorFile::Open(path));
  FOLDFARM_ASSIGN_OR_RETURN(const DatasetHeader header,
                            ParseDatasetHeader(file->metadata(), path));
  const size_t labels = header.labels.size();
  FOLDFARM_ASSIGN_OR_RETURN(
      const absl::Span<const uint8_t> truth,
      file->U8("labels", {static_cast<int64_t>(header.samples.size()),
                          static_cast<int64_t>(labels)}));
  absl::flat_hash_map<std::string, int> fold_of;
  absl::flat_hash_set<std::string> trained;
  for (size_t fold = 0; fold < folds.size(); ++fold) {
    const int number = static_cast<int>(fold);
    trained.insert(folds[fold].train_samples().begin(),
                   folds[fold].train_samples().end());
    if (only.has_value() && *only != number) continue;
    for (const std::string& id : folds[fold].validation_samples()) {
      fold_of[id] = number;
    }
  }
  OofReader reader(files);
  OofMatrix& matrix = reader.matrix_;
  matrix.labels = header.labels;
  std::vector<double>& prevalence = reader.prevalence_;
  prevalence.assign(labels, 0);
  for (size_t i = 0; i < header.samples.size(); ++i) {
    const std::string& id = header.samples[i].id;
    const auto fold = fold_of.find(id);
    if (trained.contains(id)) {
      for (size_t l = 0; l < labels; ++l) {
        prevalence[l] += static_cast<double>(truth[i * labels + l]) /
                         static_cast<double>(trained.size());
      }
      if (fold == fold_of.end()) reader.only_trained_.push_back(id);
    }
    if (fold == fold_of.end()) continue;
    reader.row_of_[fold->first] = matrix.num_samples();
    matrix.sample_ids.push_back(fold->first);
    matrix.instrument_types.push_back(header.samples[i].instrument_type);
    matrix.folds.push_back(fold->second);
    matrix.truth.insert(matrix.truth.end(), truth.begin() + i * labels,
                        truth.begin() + (i + 1) * labels);
  }
  return reader;
}

std::vector<bool> OofReader::LabelsOf(const v1::ModelSpec& model) const {
  std::vector<bool> has(matrix_.num_labels());
  for (size_t l = 0; l < has.size(); ++l) {
    has[l] = model.labels().empty() ||
             absl::c_linear_search(model.labels(), matrix_.labels[l]);
  }
  return has;
}

std::vector<bool> OofReader::LabelsOf(const v1::SweepSpec& spec) const {
  std::vector<bool> any(matrix_.num_labels());
  for (const v1::ModelSpec& model : spec.models()) {
    const std::vector<bool> has = LabelsOf(model);
    for (size_t l = 0; l < any.size(); ++l) any[l] = any[l] || has[l];
  }
  return any;
}

absl::Status OofReader::AddModel(const v1::ModelSpec& model,
                                 const std::vector<std::string>& digests,
                                 bool with_draws) {
  ModelLoader loader(matrix_, model.name(), LabelsOf(model), with_draws);
  for (const std::string& digest : digests) {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string path, files_->Find(digest));
    FOLDFARM_RETURN_IF_ERROR(loader.AddFold(path, row_of_));
  }
  OofModel added = std::move(loader).Take();
  const absl::Status valid = ValidateOofModel(matrix_, added);
  if (!valid.ok()) return absl::DataLossError(valid.message());
  matrix_.models.push_back(std::move(added));
  return absl::OkStatus();
}

}  // namespace foldfarm
