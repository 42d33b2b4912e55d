#include "coordinator/service/prediction_view.h"

#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/attempt_files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/ensemble/prediction_mean.h"
#include "common/spectra/prepared_dataset.h"
#include "common/tensorfile/tensorfile.h"
#include "coordinator/queue/near_misses.h"
#include "coordinator/service/farm_view.h"

namespace foldfarm {
namespace {

constexpr int kRowsPerPiece = 200;
constexpr size_t kJobsNamed = 5;

// What the database says of a prediction.
struct StoredPrediction {
  SweepRow sweep;
  std::vector<v1::AttemptSpec> parts;
  // Digests by model's index and part.
  std::map<std::pair<int, int>, std::string> digests;
};

absl::Status CheckFinished(const std::string& sweep,
                           const std::vector<JobRow>& jobs) {
  std::vector<std::string> open;
  for (const JobRow& job : jobs) {
    if (job.state == v1::Job::SUCCEEDED) continue;
    open.push_back(absl::StrCat(
        JobName(job.sweep, job.model, job.fold), " is ",
        absl::AsciiStrToLower(v1::Job::State_Name(job.state)),
        job.error.empty() ? "" : absl::StrCat(" (", job.error, ")")));
  }
  if (open.empty()) return absl::OkStatus();
  const size_t count = open.size();
  if (count > kJobsNamed) {
    open.resize(kJobsNamed);
    open.push_back(absl::StrCat(count - kJobsNamed, " more"));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      count, " of ", jobs.size(), " jobs of ", sweep,
      " have no result: ", absl::StrJoin(open, ", "), "; foldfarm watch ",
      sweep, " waits for them, foldfarm retry ", sweep,
      " tries failed and cancelled ones again"));
}

absl::StatusOr<StoredPrediction> ReadStored(Store& store,
                                            const std::string& name) {
  StoredPrediction stored;
  FOLDFARM_RETURN_IF_ERROR(
      store.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(stored.sweep, ResolveSweep(reader, name));
        const SweepId id = stored.sweep.id;
        if (!stored.sweep.spec.has_prediction()) {
          return absl::FailedPreconditionError(absl::StrCat(
              "sweep ", SweepName(id),
              " trains and has predicted nothing; foldfarm predict ",
              SweepName(id), " predicts with its models"));
        }
        FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> jobs,
                                  reader.ListJobs(id));
        FOLDFARM_RETURN_IF_ERROR(CheckFinished(SweepName(id), jobs));
        FOLDFARM_ASSIGN_OR_RETURN(stored.parts, reader.ListFolds(id));
        FOLDFARM_ASSIGN_OR_RETURN(
            const auto files,
            reader.ListResults(id, std::string(kPredictionsFile)));
        for (const JobRow& job : jobs) {
          const auto file = files.find(job.id);
          if (file == files.end()) {
            return absl::DataLossError(absl::StrCat(
                "database: job ", JobName(job.sweep, job.model, job.fold),
                " succeeded without ", kPredictionsFile));
          }
          stored.digests[{job.model_index, job.fold}] = file->second.digest();
        }
        return absl::OkStatus();
      }));
  return stored;
}

absl::StatusOr<std::vector<int>> CountsOf(
    const v1::GetPredictionsRequest& request, const v1::SweepSpec& spec) {
  const int all = TtaDraws(spec);
  std::vector<int> counts = {all};
  if (!request.tta().empty()) {
    counts.assign(request.tta().begin(), request.tta().end());
  }
  for (const int count : counts) {
    if (count < 1 || count > all) {
      return absl::InvalidArgumentError(
          absl::StrCat("tta is ", count, ", expected 1 to ", all,
                       ", the draws that were predicted"));
    }
  }
  return counts;
}

absl::StatusOr<std::vector<double>> WeightsOf(
    const v1::GetPredictionsRequest& request, const v1::SweepSpec& spec) {
  std::vector<std::string> names;
  for (const v1::ModelSpec& model : spec.models()) {
    names.push_back(model.name());
  }
  if (request.weights().empty()) return std::vector<double>(names.size(), 1.0);
  std::vector<double> weights(names.size(), 0.0);
  for (const auto& [name, weight] : request.weights()) {
    const auto at = absl::c_find(names, name);
    if (at == names.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("weights name model \"", name,
                       "\", which did not predict", NearMisses(name, names)));
    }
    if (!std::isfinite(weight) || weight < 0) {
      return absl::InvalidArgumentError(absl::StrCat("the weight of model ",
                                                     name, " is ", weight,
                                                     ", expected 0 or more"));
    }
    weights[static_cast<size_t>(at - names.begin())] = weight;
  }
  if (absl::c_all_of(weights, [](double weight) { return weight == 0; })) {
    return absl::InvalidArgumentError(
        "all weights are 0, expected at least one above");
  }
  return weights;
}

// Computes the rows of one share after the other.
class ShareReader {
 public:
  ShareReader(const StoredPrediction& stored, ArtifactFiles& files,
              const std::vector<std::string>& labels,
              const std::vector<int>& counts)
      : stored_(stored), files_(files), labels_(labels), counts_(counts) {}

  // By number of draws, by model: [samples, labels], means over folds; NaN for
  // labels that the model does not have.
  using Means = std::vector<std::vector<std::vector<double>>>;
  absl::StatusOr<Means> Read(int share) const {
    const v1::SweepSpec& spec = stored_.sweep.spec;
    Means means(counts_.size());
    for (int m = 0; m < spec.models_size(); ++m) {
      std::vector<size_t> columns;
      for (const std::string& label : LabelsOf(spec.models(m), labels_)) {
        columns.push_back(static_cast<size_t>(absl::c_find(labels_, label) -
                                              labels_.begin()));
      }
      const auto& samples =
          stored_.parts[static_cast<size_t>(share)].predict_samples();
      const size_t cells = static_cast<size_t>(samples.size()) * labels_.size();
      for (auto& of_count : means) {
        std::vector<double>& mean = of_count.emplace_back(
            cells, std::numeric_limits<double>::quiet_NaN());
        for (size_t i = 0; i < cells; i += labels_.size()) {
          for (const size_t column : columns) mean[i + column] = 0;
        }
      }
      absl::flat_hash_map<std::string, size_t> row_of;
      for (int i = 0; i < samples.size(); ++i) {
        row_of[samples[i]] = static_cast<size_t>(i);
      }
      const int folds = spec.prediction().folds();
      for (int fold = 0; fold < folds; ++fold) {
        const int part = fold * spec.prediction().shares() + share;
        FOLDFARM_RETURN_IF_ERROR(AddFold(m, part, row_of, columns, means));
      }
      for (auto& of_count : means) {
        for (double& value : of_count.back()) value /= folds;
      }
    }
    return means;
  }

 private:
  absl::Status AddFold(int model, int part,
                       const absl::flat_hash_map<std::string, size_t>& row_of,
                       const std::vector<size_t>& columns, Means& means) const {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                              files_.Find(stored_.digests.at({model, part})));
    FOLDFARM_ASSIGN_OR_RETURN(const auto file, TensorFile::Open(path));
    FOLDFARM_ASSIGN_OR_RETURN(const std::string text,
                              file->Metadata("sample_ids"));
    const nlohmann::json ids = ParseJson(text);
    if (!ids.is_array() || ids.size() != row_of.size()) {
      return absl::DataLossError(absl::StrCat(path, ": other samples"));
    }
    FOLDFARM_ASSIGN_OR_RETURN(
        const absl::Span<const float> draws,
        file->F32("draws", {-1, static_cast<int64_t>(ids.size()),
                            static_cast<int64_t>(columns.size())}));
    const size_t cells = ids.size() * columns.size();
    for (size_t c = 0; c < counts_.size(); ++c) {
      const std::vector<double> mean =
          MeanOfFirstDraws(draws, cells, static_cast<size_t>(counts_[c]));
      std::vector<double>& sum = means[c].back();
      for (size_t i = 0; i < ids.size(); ++i) {
        const size_t row = row_of.at(ids[i].get<std::string>());
        for (size_t k = 0; k < columns.size(); ++k) {
          sum[row * labels_.size() + columns[k]] +=
              mean[i * columns.size() + k];
        }
      }
    }
    return absl::OkStatus();
  }

  const StoredPrediction& stored_;
  ArtifactFiles& files_;
  const std::vector<std::string>& labels_;
  const std::vector<int>& counts_;
};

}  // namespace

absl::Status ViewPredictions(
    Store& store, ArtifactFiles& files,
    const v1::GetPredictionsRequest& request,
    absl::FunctionRef<bool(const v1::GetPredictionsResponse&)> send) {
  FOLDFARM_ASSIGN_OR_RETURN(const StoredPrediction stored,
                            ReadStored(store, request.sweep()));
  const v1::SweepSpec& spec = stored.sweep.spec;
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<int> counts,
                            CountsOf(request, spec));
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<double> weights,
                            WeightsOf(request, spec));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                            files.Find(stored.sweep.dataset.digest()));
  FOLDFARM_ASSIGN_OR_RETURN(const auto metadata,
                            TensorFile::ReadMetadata(path));
  FOLDFARM_ASSIGN_OR_RETURN(const DatasetHeader header,
                            ParseDatasetHeader(metadata, path));
  absl::flat_hash_map<std::string, std::string> instruments;
  for (const SampleInfo& sample : header.samples) {
    instruments[sample.id] = sample.instrument_type;
  }
  const size_t num_labels = header.labels.size();
  const ShareReader reader(stored, files, header.labels, counts);
  v1::GetPredictionsResponse piece;
  for (const std::string& label : header.labels) piece.add_labels(label);
  for (const v1::ModelSpec& model : spec.models()) {
    piece.add_models(model.name());
  }
  for (int share = 0; share < spec.prediction().shares(); ++share) {
    FOLDFARM_ASSIGN_OR_RETURN(const ShareReader::Means means,
                              reader.Read(share));
    std::vector<std::vector<double>> ensemble;
    for (const auto& models : means) {
      ensemble.push_back(WeightedMeanOfModels(models, weights));
    }
    const auto& samples =
        stored.parts[static_cast<size_t>(share)].predict_samples();
    for (int i = 0; i < samples.size(); ++i) {
      const size_t begin = static_cast<size_t>(i) * num_labels;
      for (size_t c = 0; c < counts.size(); ++c) {
        v1::GetPredictionsResponse::Row& row = *piece.add_rows();
        row.set_sample_id(samples[i]);
        row.set_instrument_type(instruments[samples[i]]);
        row.set_tta(counts[c]);
        for (size_t k = begin; k < begin + num_labels; ++k) {
          row.add_probability(ensemble[c][k]);
        }
        for (const std::vector<double>& model : means[c]) {
          for (size_t k = begin; k < begin + num_labels; ++k) {
            row.add_model_probability(model[k]);
          }
        }
      }
      if (piece.rows_size() >= kRowsPerPiece) {
        if (!send(piece)) return absl::CancelledError("the reader has gone");
        piece.Clear();
      }
    }
  }
  if (piece.rows_size() > 0) send(piece);
  return absl::OkStatus();
}

}  // namespace foldfarm
