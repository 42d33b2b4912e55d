#include "coordinator/service/ensemble_view.h"

#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"
#include "common/base/status_macros.h"
#include "common/ensemble/analysis.h"
#include "common/ensemble/oof.h"
#include "common/spectra/prepared_dataset.h"
#include "common/tensorfile/tensorfile.h"
#include "coordinator/service/farm_view.h"

namespace foldfarm {
namespace {

constexpr int kRowsPerPiece = 200;

// What the database says of a sweep's predictions.
struct StoredOof {
  SweepRow sweep;
  std::vector<v1::AttemptSpec> folds;
  std::vector<JobRow> jobs;
  std::map<JobId, v1::ArtifactRef> files;
  std::map<std::string, double> seconds;
};

absl::StatusOr<StoredOof> ReadStored(Store& store, const std::string& name) {
  StoredOof stored;
  FOLDFARM_RETURN_IF_ERROR(
      store.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(stored.sweep, ResolveSweep(reader, name));
        const SweepId id = stored.sweep.id;
        FOLDFARM_ASSIGN_OR_RETURN(stored.folds, reader.ListFolds(id));
        FOLDFARM_ASSIGN_OR_RETURN(stored.jobs, reader.ListJobs(id));
        FOLDFARM_ASSIGN_OR_RETURN(
            stored.files, reader.ListResults(id, std::string(kOofFile)));
        FOLDFARM_ASSIGN_OR_RETURN(stored.seconds, reader.SecondsByModel(id));
        return absl::OkStatus();
      }));
  return stored;
}

// Samples of all folds, in the dataset's order, with the truth.
absl::StatusOr<OofMatrix> MakeTable(const StoredOof& stored,
                                    ArtifactFiles& files) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                            files.Find(stored.sweep.dataset.digest()));
  FOLDFARM_ASSIGN_OR_RETURN(const auto file, TensorFile::Open(path));
  FOLDFARM_ASSIGN_OR_RETURN(const DatasetHeader header,
                            ParseDatasetHeader(file->metadata(), path));
  const size_t num_labels = header.labels.size();
  FOLDFARM_ASSIGN_OR_RETURN(
      const absl::Span<const uint8_t> truth,
      file->U8("labels", {static_cast<int64_t>(header.samples.size()),
                          static_cast<int64_t>(num_labels)}));
  absl::flat_hash_map<std::string, int> fold_of;
  for (size_t fold = 0; fold < stored.folds.size(); ++fold) {
    for (const std::string& id : stored.folds[fold].validation_samples()) {
      fold_of[id] = static_cast<int>(fold);
    }
  }
  OofMatrix table;
  table.labels = header.labels;
  for (size_t i = 0; i < header.samples.size(); ++i) {
    const auto fold = fold_of.find(header.samples[i].id);
    if (fold == fold_of.end()) continue;
    table.sample_ids.push_back(header.samples[i].id);
    table.instrument_types.push_back(header.samples[i].instrument_type);
    table.folds.push_back(fold->second);
    for (size_t k = 0; k < num_labels; ++k) {
      table.truth.push_back(truth[i * num_labels + k]);
    }
  }
  return table;
}

// Puts one fold's predictions of `columns`, the model's labels in the table,
// into a model's rows.
absl::Status AddFold(const std::string& path,
                     const absl::flat_hash_map<std::string, size_t>& row_of,
                     const std::vector<size_t>& columns, size_t num_labels,
                     OofModel& model) {
  FOLDFARM_ASSIGN_OR_RETURN(const auto file, TensorFile::Open(path));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text,
                            file->Metadata("sample_ids"));
  const nlohmann::json ids = nlohmann::json::parse(text, nullptr, false);
  if (!ids.is_array()) {
    return absl::DataLossError(absl::StrCat(path, ": no sample ids"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(
      const absl::Span<const float> values,
      file->F32("probabilities", {static_cast<int64_t>(ids.size()),
                                  static_cast<int64_t>(columns.size())}));
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto row = row_of.find(ids[i].get<std::string>());
    if (row == row_of.end()) continue;
    for (size_t k = 0; k < columns.size(); ++k) {
      model.probabilities[row->second * num_labels + columns[k]] =
          values[i * columns.size() + k];
    }
  }
  return absl::OkStatus();
}

// The table with every complete model; names of the others go to `incomplete`.
absl::StatusOr<OofMatrix> LoadOof(const StoredOof& stored, ArtifactFiles& files,
                                  std::vector<std::string>& incomplete) {
  FOLDFARM_ASSIGN_OR_RETURN(OofMatrix oof, MakeTable(stored, files));
  absl::flat_hash_map<std::string, size_t> row_of;
  for (size_t i = 0; i < oof.sample_ids.size(); ++i) {
    row_of[oof.sample_ids[i]] = i;
  }
  absl::flat_hash_map<std::string, std::vector<std::string>> digests;
  for (const JobRow& job : stored.jobs) {
    const auto file = stored.files.find(job.id);
    if (file != stored.files.end()) {
      digests[job.model].push_back(file->second.digest());
    }
  }
  for (const v1::ModelSpec& spec : stored.sweep.spec.models()) {
    const std::vector<std::string>& parts = digests[spec.name()];
    if (parts.size() != stored.folds.size()) {
      incomplete.push_back(spec.name());
      continue;
    }
    OofModel& model = oof.models.emplace_back();
    model.name = spec.name();
    model.probabilities.resize(oof.num_samples() * oof.num_labels(),
                               std::numeric_limits<double>::quiet_NaN());
    std::vector<size_t> columns;
    std::vector<bool> has_label(oof.num_labels(), true);
    for (size_t k = 0; k < oof.num_labels(); ++k) {
      has_label[k] = spec.labels().empty() ||
                     absl::c_linear_search(spec.labels(), oof.labels[k]);
      if (has_label[k]) columns.push_back(k);
    }
    if (columns.size() < oof.num_labels()) model.has_label = has_label;
    for (const std::string& digest : parts) {
      FOLDFARM_ASSIGN_OR_RETURN(const std::string path, files.Find(digest));
      FOLDFARM_RETURN_IF_ERROR(
          AddFold(path, row_of, columns, oof.num_labels(), model));
    }
  }
  FOLDFARM_RETURN_IF_ERROR(ValidateOof(oof));
  return oof;
}

void SetScores(const OofScores& from, v1::Scores* to) {
  to->set_log_loss(from.log_loss);
  to->set_log_loss_shrink_0002(from.log_loss_shrink_0002);
  to->set_log_loss_clip_1e_3(from.log_loss_clip_1e_3);
  to->set_log_loss_clip_1e_2(from.log_loss_clip_1e_2);
  to->set_accuracy(from.accuracy);
  to->set_samples(from.samples);
}

}  // namespace

absl::Status ViewEnsemble(Store& store, ArtifactFiles& files,
                          const std::string& sweep,
                          v1::GetEnsembleResponse& response) {
  FOLDFARM_ASSIGN_OR_RETURN(const StoredOof stored, ReadStored(store, sweep));
  std::vector<std::string> incomplete;
  FOLDFARM_ASSIGN_OR_RETURN(const OofMatrix oof,
                            LoadOof(stored, files, incomplete));
  response.set_sweep(SweepName(stored.sweep.id));
  for (std::string& model : incomplete) {
    response.add_incomplete_models(std::move(model));
  }
  if (oof.models.empty()) {
    for (const std::string& label : oof.labels) response.add_labels(label);
    SetScores(Score(oof, PriorPredictions(oof)), response.mutable_prior());
    return absl::OkStatus();
  }

  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof);
  for (const ModelAnalysis& model : analysis.models) {
    v1::ModelScores& scores = *response.add_models();
    scores.set_model(model.name);
    SetScores(model.scores, scores.mutable_scores());
    for (const double loss : model.fold_log_loss) {
      scores.add_fold_log_loss(loss);
    }
    scores.set_correlation(model.correlation);
    scores.set_prior_log_loss(model.prior_log_loss);
    const OofModel& predictions = oof.models[model.model];
    for (size_t k = 0; k < predictions.has_label.size(); ++k) {
      if (predictions.Predicts(k)) scores.add_labels(oof.labels[k]);
    }
    const auto seconds = stored.seconds.find(model.name);
    if (seconds != stored.seconds.end()) scores.set_seconds(seconds->second);
  }
  SetScores(analysis.ensemble, response.mutable_ensemble());
  SetScores(analysis.prior, response.mutable_prior());
  for (const SelectionStep& step : analysis.growth) {
    v1::GrowthStep& growth = *response.add_growth();
    growth.set_model(oof.models[step.model].name);
    growth.set_log_loss(step.log_loss);
  }
  for (const std::string& label : analysis.labels) response.add_labels(label);
  for (const double loss : analysis.label_log_loss) {
    response.add_label_log_loss(loss);
  }
  for (const std::string& label : analysis.unpredicted_labels) {
    response.add_unpredicted_labels(label);
  }
  return absl::OkStatus();
}

absl::Status ViewOof(Store& store, ArtifactFiles& files,
                     const std::string& sweep,
                     absl::FunctionRef<bool(const v1::GetOofResponse&)> send) {
  FOLDFARM_ASSIGN_OR_RETURN(const StoredOof stored, ReadStored(store, sweep));
  std::vector<std::string> incomplete;
  FOLDFARM_ASSIGN_OR_RETURN(const OofMatrix oof,
                            LoadOof(stored, files, incomplete));
  const std::vector<double> mean =
      oof.models.empty() ? std::vector<double>() : MeanOfModels(oof);
  const size_t num_labels = oof.num_labels();
  v1::GetOofResponse piece;
  for (const std::string& label : oof.labels) piece.add_labels(label);
  for (const OofModel& model : oof.models) piece.add_models(model.name);
  for (size_t i = 0; i < oof.num_samples(); ++i) {
    v1::GetOofResponse::Row& row = *piece.add_rows();
    row.set_sample_id(oof.sample_ids[i]);
    row.set_fold(oof.folds[i]);
    row.set_instrument_type(oof.instrument_types[i]);
    const size_t begin = i * num_labels;
    for (size_t k = 0; k < num_labels; ++k) {
      row.add_truth(oof.truth[begin + k]);
      if (!mean.empty()) row.add_probability(mean[begin + k]);
    }
    for (const OofModel& model : oof.models) {
      for (size_t k = 0; k < num_labels; ++k) {
        row.add_model_probability(model.probabilities[begin + k]);
      }
    }
    if (piece.rows_size() == kRowsPerPiece) {
      if (!send(piece)) return absl::CancelledError("the reader has gone");
      piece.Clear();
    }
  }
  // The names go out even when there are no rows.
  if (piece.rows_size() > 0 || piece.labels_size() > 0) send(piece);
  return absl::OkStatus();
}

}  // namespace foldfarm
