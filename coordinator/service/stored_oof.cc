#include "coordinator/service/stored_oof.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/attempt_files.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepared_dataset.h"
#include "common/tensorfile/tensorfile.h"
#include "coordinator/service/farm_view.h"

namespace foldfarm {
namespace {

// "fold 2", "folds 1, 3".
std::string FoldNames(const std::vector<int>& folds) {
  return absl::StrCat(folds.size() == 1 ? "fold " : "folds ",
                      absl::StrJoin(folds, ", "));
}

// "fold 2 failed: ...; folds 1, 3 are pending".
std::string WhyIncomplete(const std::vector<const JobRow*>& jobs) {
  std::vector<std::string> reasons;
  const auto with_error = [&](v1::Job::State state, absl::string_view verb) {
    for (const JobRow* job : jobs) {
      if (job->state != state) continue;
      reasons.push_back(absl::StrCat("fold ", job->fold, " ", verb,
                                     job->error.empty() ? "" : ": ",
                                     job->error));
    }
  };
  const auto together = [&](v1::Job::State state, absl::string_view doing) {
    std::vector<int> folds;
    for (const JobRow* job : jobs) {
      if (job->state == state) folds.push_back(job->fold);
    }
    if (folds.empty()) return;
    std::sort(folds.begin(), folds.end());
    reasons.push_back(absl::StrCat(
        FoldNames(folds), folds.size() == 1 ? " is " : " are ", doing));
  };
  with_error(v1::Job::FAILED, "failed");
  with_error(v1::Job::CANCELLED, "was cancelled");
  together(v1::Job::RUNNING, "running");
  together(v1::Job::PENDING, "pending");
  if (reasons.empty()) return "its jobs leave no out-of-fold predictions";
  return absl::StrJoin(reasons, "; ");
}

v1::IncompleteModel Incomplete(const std::string& model, std::string reason) {
  v1::IncompleteModel incomplete;
  incomplete.set_model(model);
  incomplete.set_reason(std::move(reason));
  return incomplete;
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

// Collects a model's folds.
class ModelLoader {
 public:
  ModelLoader(const OofMatrix& oof, const v1::ModelSpec& spec, bool with_draws)
      : num_labels_(oof.num_labels()), with_draws_(with_draws) {
    model_.name = spec.name();
    model_.probabilities.resize(oof.truth.size(),
                                std::numeric_limits<double>::quiet_NaN());
    std::vector<bool> has_label(num_labels_, true);
    for (size_t k = 0; k < num_labels_; ++k) {
      has_label[k] = spec.labels().empty() ||
                     absl::c_linear_search(spec.labels(), oof.labels[k]);
      if (has_label[k]) columns_.push_back(k);
    }
    if (columns_.size() < num_labels_) model_.has_label = has_label;
  }

  absl::Status AddFold(const std::string& path,
                       const absl::flat_hash_map<std::string, size_t>& row_of) {
    FOLDFARM_ASSIGN_OR_RETURN(const auto file, TensorFile::Open(path));
    FOLDFARM_ASSIGN_OR_RETURN(const std::string text,
                              file->Metadata("sample_ids"));
    const nlohmann::json ids = nlohmann::json::parse(text, nullptr, false);
    if (!ids.is_array() || !absl::c_all_of(ids, [](const nlohmann::json& id) {
          return id.is_string();
        })) {
      return absl::DataLossError(absl::StrCat(path, ": no sample ids"));
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

absl::StatusOr<OofModel> LoadModel(
    const OofMatrix& oof, const StoredOof::Model& stored, ArtifactFiles& files,
    const absl::flat_hash_map<std::string, size_t>& row_of, bool with_draws) {
  ModelLoader loader(oof, stored.spec, with_draws);
  for (const std::string& digest : stored.digests) {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string path, files.Find(digest));
    FOLDFARM_RETURN_IF_ERROR(loader.AddFold(path, row_of));
  }
  OofModel model = std::move(loader).Take();
  FOLDFARM_RETURN_IF_ERROR(ValidateOofModel(oof, model));
  return model;
}

}  // namespace

absl::StatusOr<StoredOof> ReadStoredOof(Store& store, const std::string& name) {
  StoredOof stored;
  std::vector<JobRow> jobs;
  std::map<JobId, v1::ArtifactRef> files;
  std::map<std::string, double> seconds;
  FOLDFARM_RETURN_IF_ERROR(
      store.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(stored.sweep, ResolveSweep(reader, name));
        FOLDFARM_RETURN_IF_ERROR(CheckTrains(stored.sweep));
        const SweepId id = stored.sweep.id;
        FOLDFARM_ASSIGN_OR_RETURN(stored.folds, reader.ListFolds(id));
        FOLDFARM_ASSIGN_OR_RETURN(jobs, reader.ListJobs(id));
        FOLDFARM_ASSIGN_OR_RETURN(
            files, reader.ListResults(id, std::string(kOofFile)));
        FOLDFARM_ASSIGN_OR_RETURN(seconds, reader.SecondsByModel(id));
        return absl::OkStatus();
      }));
  absl::flat_hash_map<std::string, std::vector<const JobRow*>> jobs_of;
  for (const JobRow& job : jobs) jobs_of[job.model].push_back(&job);
  for (const v1::ModelSpec& spec : stored.sweep.spec.models()) {
    std::vector<const JobRow*>& of_model = jobs_of[spec.name()];
    absl::c_sort(of_model, [](const JobRow* a, const JobRow* b) {
      return a->fold < b->fold;
    });
    StoredOof::Model model{spec};
    for (const JobRow* job : of_model) {
      const auto file = files.find(job->id);
      if (file != files.end()) model.digests.push_back(file->second.digest());
    }
    if (model.digests.size() != stored.folds.size()) {
      stored.incomplete.push_back(
          Incomplete(spec.name(), WhyIncomplete(of_model)));
      continue;
    }
    const auto ran = seconds.find(spec.name());
    if (ran != seconds.end()) model.seconds = ran->second;
    stored.complete.push_back(std::move(model));
  }
  return stored;
}

absl::StatusOr<LoadedOof> LoadOof(const StoredOof& stored, ArtifactFiles& files,
                                  bool with_draws) {
  LoadedOof loaded;
  OofMatrix& oof = loaded.oof;
  FOLDFARM_ASSIGN_OR_RETURN(oof, MakeTable(stored, files));
  FOLDFARM_RETURN_IF_ERROR(ValidateOof(oof));
  absl::flat_hash_map<std::string, size_t> row_of;
  for (size_t i = 0; i < oof.sample_ids.size(); ++i) {
    row_of[oof.sample_ids[i]] = i;
  }
  for (const StoredOof::Model& model : stored.complete) {
    absl::StatusOr<OofModel> of_model =
        LoadModel(oof, model, files, row_of, with_draws);
    if (!of_model.ok()) {
      loaded.unreadable.push_back(Incomplete(
          model.spec.name(), absl::StrCat("its predictions cannot be read: ",
                                          of_model.status().message())));
      continue;
    }
    oof.models.push_back(*std::move(of_model));
  }
  return loaded;
}

}  // namespace foldfarm
