#include "worker/trainer/predictions.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/tensorfile/tensorfile.h"
#include "nlohmann/json.hpp"
#include "worker/training/labels.h"
#include "worker/training/metrics.h"

namespace foldfarm {
namespace {

absl::Status WriteFile(const std::string& path, const char* format,
                       const PreparedDataset& dataset, const AttemptSpec& spec,
                       const std::vector<std::string>& samples,
                       const Predictions& predictions) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<int64_t> columns,
                            LabelColumns(dataset.header(), spec.labels));
  TensorFileWriter writer;
  writer.SetMetadata("format", format);
  writer.SetMetadata("format_version", "1");
  writer.SetMetadata("sample_ids", JsonText(nlohmann::json(samples)));
  writer.SetMetadata(
      "labels",
      JsonText(nlohmann::json(LabelNames(dataset.header(), columns))));
  writer.SetMetadata("job", spec.job);
  writer.SetMetadata("fold", absl::StrCat(spec.fold));
  writer.AddF32("probabilities",
                {predictions.num_samples, predictions.num_labels},
                predictions.probabilities);
  writer.AddF32(
      "draws",
      {predictions.num_draws, predictions.num_samples, predictions.num_labels},
      predictions.draws);
  return WriteFileDurably(path, writer.Serialize());
}

}  // namespace

absl::StatusOr<Predictions> PredictPrior(const PreparedDataset& dataset,
                                         const AttemptSpec& spec) {
  if (spec.train_samples.empty()) {
    return absl::InvalidArgumentError(
        "train_samples is empty, expected at least 1 id");
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<int64_t> columns,
                            LabelColumns(dataset.header(), spec.labels));
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<float> labels,
                            LabelsOf(dataset, spec.train_samples, columns));
  Predictions result;
  result.num_samples = static_cast<int64_t>(spec.validation_samples.size());
  result.num_labels = static_cast<int64_t>(columns.size());
  result.num_draws = 1;
  std::vector<double> sum(result.num_labels, 0.0);
  for (size_t i = 0; i < labels.size(); ++i) {
    sum[i % result.num_labels] += labels[i];
  }
  for (int64_t sample = 0; sample < result.num_samples; ++sample) {
    for (const double total : sum) {
      result.probabilities.push_back(static_cast<float>(
          total / static_cast<double>(spec.train_samples.size())));
    }
  }
  result.draws = result.probabilities;
  return result;
}

absl::StatusOr<Metrics> ScorePredictions(const PreparedDataset& dataset,
                                         const AttemptSpec& spec,
                                         const Predictions& predictions) {
  Metrics metrics;
  if (predictions.probabilities.empty()) return metrics;
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<int64_t> columns,
                            LabelColumns(dataset.header(), spec.labels));
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::vector<float> labels,
      LabelsOf(dataset, spec.validation_samples, columns));
  metrics["log_loss"] = LogLossClipped(predictions.probabilities, labels, 1e-3);
  metrics["log_loss_clip_1e_2"] =
      LogLossClipped(predictions.probabilities, labels, 1e-2);
  metrics["log_loss_shrink_0002"] =
      LogLossShrunk(predictions.probabilities, labels, 0.002);
  metrics["accuracy"] = Accuracy(predictions.probabilities, labels);
  return metrics;
}

absl::Status WriteOofFile(const std::string& path,
                          const PreparedDataset& dataset,
                          const AttemptSpec& spec,
                          const Predictions& predictions) {
  return WriteFile(path, "foldfarm-oof", dataset, spec, spec.validation_samples,
                   predictions);
}

absl::Status WritePredictionsFile(const std::string& path,
                                  const PreparedDataset& dataset,
                                  const AttemptSpec& spec,
                                  const Predictions& predictions) {
  return WriteFile(path, "foldfarm-predictions", dataset, spec,
                   spec.predict_samples, predictions);
}

absl::Status CheckProbabilities(const Predictions& predictions) {
  for (const float p : predictions.probabilities) {
    if (!(p >= 0 && p <= 1)) {
      return absl::InternalError(
          absl::StrCat("training diverged: a predicted probability is ", p));
    }
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
