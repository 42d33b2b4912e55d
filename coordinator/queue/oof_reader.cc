#include "coordinator/queue/oof_reader.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepared_dataset.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {

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
  for (size_t fold = 0; fold < folds.size(); ++fold) {
    const int number = static_cast<int>(fold);
    if (only.has_value() && *only != number) continue;
    for (const std::string& id : folds[fold].validation_samples()) {
      fold_of[id] = number;
    }
  }
  OofReader reader(files);
  OofMatrix& matrix = reader.matrix_;
  matrix.labels = header.labels;
  for (size_t i = 0; i < header.samples.size(); ++i) {
    const auto fold = fold_of.find(header.samples[i].id);
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

absl::Status OofReader::AddFile(const std::string& digest,
                                const std::vector<size_t>& columns,
                                OofModel& model) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path, files_->Find(digest));
  FOLDFARM_ASSIGN_OR_RETURN(const auto file, TensorFile::Open(path));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text,
                            file->Metadata("sample_ids"));
  const nlohmann::json ids = nlohmann::json::parse(text, nullptr, false);
  if (!ids.is_array() || !absl::c_all_of(ids, [](const nlohmann::json& id) {
        return id.is_string();
      })) {
    return absl::DataLossError(absl::StrCat(path, ": it names no samples"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(
      const absl::Span<const float> values,
      file->F32("probabilities", {static_cast<int64_t>(ids.size()),
                                  static_cast<int64_t>(columns.size())}));
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto row = row_of_.find(ids[i].get_ref<const std::string&>());
    if (row == row_of_.end()) continue;
    for (size_t k = 0; k < columns.size(); ++k) {
      model.probabilities[row->second * matrix_.num_labels() + columns[k]] =
          values[i * columns.size() + k];
    }
  }
  return absl::OkStatus();
}

absl::Status OofReader::AddModel(const v1::ModelSpec& model,
                                 const std::vector<std::string>& digests) {
  OofModel added;
  added.name = model.name();
  added.probabilities.resize(matrix_.truth.size(),
                             std::numeric_limits<double>::quiet_NaN());
  added.has_label = LabelsOf(model);
  std::vector<size_t> columns;
  for (size_t l = 0; l < added.has_label.size(); ++l) {
    if (added.has_label[l]) columns.push_back(l);
  }
  for (const std::string& digest : digests) {
    FOLDFARM_RETURN_IF_ERROR(AddFile(digest, columns, added));
  }
  for (size_t row = 0; row < matrix_.num_samples(); ++row) {
    for (const size_t column : columns) {
      const double p = added.probabilities[row * matrix_.num_labels() + column];
      // Written so that NaN fails.
      if (p >= 0.0 && p <= 1.0) continue;
      return absl::DataLossError(
          absl::StrCat("sample ", matrix_.sample_ids[row], ", label ",
                       matrix_.labels[column], ": the stored probability is ",
                       p, ", expected a number in [0, 1]"));
    }
  }
  matrix_.models.push_back(std::move(added));
  return absl::OkStatus();
}

}  // namespace foldfarm
