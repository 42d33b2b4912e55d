// CSV and .npy; see export_results.h.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/ensemble/csv.h"
#include "coordinator/cli/export_results.h"
#include "coordinator/cli/metrics_table.h"
#include "coordinator/cli/npy.h"
#include "coordinator/cli/output.h"

namespace foldfarm {
namespace {

using Json = nlohmann::ordered_json;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

std::vector<std::string> ResultNames(const std::vector<JobRecord>& jobs) {
  std::set<std::string> names;
  for (const JobRecord& job : jobs) {
    for (const auto& [name, value] : job.metrics.result()) names.insert(name);
  }
  return MetricsInOrder(std::move(names));
}

template <typename Values>
double ValueOr(const Values& values, const std::string& name, double absent) {
  const auto value = values.find(name);
  return value == values.end() ? absent : value->second;
}

// A number's cell; empty when there is none.
void AppendCell(double value, std::string& csv) {
  csv += ',';
  if (!std::isnan(value)) absl::StrAppendFormat(&csv, "%.9g", value);
}

std::string DrawsCsv(const OofMatrix& oof) {
  std::string csv = "sample_id,model,draw";
  for (const std::string& label : oof.labels) {
    absl::StrAppend(&csv, ",", CsvCell(label));
  }
  csv += '\n';
  const size_t cells = oof.num_samples() * oof.num_labels();
  for (const OofModel& model : oof.models) {
    for (size_t begin = 0; begin < model.draws.size(); begin += cells) {
      for (size_t i = 0; i < oof.num_samples(); ++i) {
        absl::StrAppend(&csv, CsvCell(oof.sample_ids[i]), ",",
                        CsvCell(model.name), ",", begin / cells);
        for (size_t k = 0; k < oof.num_labels(); ++k) {
          AppendCell(model.draws[begin + i * oof.num_labels() + k], csv);
        }
        csv += '\n';
      }
    }
  }
  return csv;
}

std::string ResultsCsv(const std::vector<JobRecord>& jobs) {
  const std::vector<std::string> names = ResultNames(jobs);
  std::string csv = "job,model,fold,state";
  for (const std::string& name : names) {
    absl::StrAppend(&csv, ",", CsvCell(name));
  }
  csv += '\n';
  for (const JobRecord& record : jobs) {
    const v1::Job& job = record.details.job();
    absl::StrAppend(&csv, CsvCell(job.name()), ",", CsvCell(job.model()), ",",
                    job.fold(), ",", StateName(job.state()));
    for (const std::string& name : names) {
      AppendCell(ValueOr(record.metrics.result(), name, kNaN), csv);
    }
    csv += '\n';
  }
  return csv;
}

// [jobs, epochs, metrics].
struct MetricsArray {
  std::vector<int64_t> shape;
  std::vector<double> values;
};

MetricsArray EpochArray(const std::vector<JobRecord>& jobs,
                        const std::vector<std::string>& names) {
  int epochs = 0;
  for (const JobRecord& job : jobs) {
    for (const v1::EpochMetrics& epoch : job.metrics.epochs()) {
      epochs = std::max(epochs, epoch.epoch());
    }
  }
  const size_t row = names.size();
  const size_t sheet = static_cast<size_t>(epochs) * row;
  MetricsArray array;
  array.shape = {static_cast<int64_t>(jobs.size()), epochs,
                 static_cast<int64_t>(row)};
  array.values.assign(jobs.size() * sheet, kNaN);
  for (size_t j = 0; j < jobs.size(); ++j) {
    for (const v1::EpochMetrics& epoch : jobs[j].metrics.epochs()) {
      if (epoch.epoch() < 1) continue;
      const size_t at =
          j * sheet + static_cast<size_t>(epoch.epoch() - 1) * row;
      for (size_t k = 0; k < row; ++k) {
        array.values[at + k] = ValueOr(epoch.values(), names[k], kNaN);
      }
    }
  }
  return array;
}

// Writes arrays, and says in the index what runs along their axes.
class NpyFolder {
 public:
  NpyFolder(const std::string& directory, WrittenFiles& written)
      : directory_(directory), written_(written) {
    index_["arrays"] = Json::object();
  }

  absl::Status Add(const std::string& name, const std::vector<int64_t>& shape,
                   absl::Span<const double> values,
                   const std::vector<std::string>& axes) {
    index_["arrays"][name] = {{"axes", axes}, {"shape", shape}};
    return written_.Write(directory_, name, NpyF64(shape, values));
  }
  absl::Status Add(const std::string& name, const std::vector<int>& values,
                   const std::vector<std::string>& axes) {
    const auto size = static_cast<int64_t>(values.size());
    index_["arrays"][name] = {{"axes", axes}, {"shape", {size}}};
    return written_.Write(directory_, name, NpyI32({size}, values));
  }
  Json& index() { return index_; }
  absl::Status Finish() {
    return written_.Write(directory_, kNpyIndexFile,
                          absl::StrCat(JsonText(index_, 1), "\n"));
  }

 private:
  const std::string& directory_;
  WrittenFiles& written_;
  Json index_;
};

absl::Status AddOof(const OofTable& table, NpyFolder& folder) {
  const OofMatrix& oof = table.oof;
  const auto samples = static_cast<int64_t>(oof.num_samples());
  const auto labels = static_cast<int64_t>(oof.num_labels());
  std::vector<std::string> names;
  std::vector<double> probabilities;
  for (const OofModel& model : oof.models) {
    names.push_back(model.name);
    probabilities.insert(probabilities.end(), model.probabilities.begin(),
                         model.probabilities.end());
  }
  folder.index()["models"] = names;
  folder.index()["samples"] = oof.sample_ids;
  folder.index()["instruments"] = oof.instrument_types;
  folder.index()["labels"] = oof.labels;
  FOLDFARM_RETURN_IF_ERROR(
      folder.Add("oof_probabilities.npy",
                 {static_cast<int64_t>(names.size()), samples, labels},
                 probabilities, {"models", "samples", "labels"}));
  FOLDFARM_RETURN_IF_ERROR(folder.Add("oof_ensemble.npy", {samples, labels},
                                      table.ensemble, {"samples", "labels"}));
  FOLDFARM_RETURN_IF_ERROR(folder.Add("oof_truth.npy", {samples, labels},
                                      oof.truth, {"samples", "labels"}));
  FOLDFARM_RETURN_IF_ERROR(folder.Add("oof_folds.npy", oof.folds, {"samples"}));
  for (const OofModel& model : oof.models) {
    if (model.draws.empty()) continue;
    const auto draws =
        static_cast<int64_t>(model.draws.size()) / (samples * labels);
    FOLDFARM_RETURN_IF_ERROR(folder.Add(
        absl::StrCat("oof_draws/", model.name, ".npy"),
        {draws, samples, labels}, model.draws, {"draws", "samples", "labels"}));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status WriteCsv(const SweepResults& results, const std::string& directory,
                      WrittenFiles& written) {
  if (!results.oof.oof.models.empty()) {
    FOLDFARM_RETURN_IF_ERROR(
        written.Write(directory, "oof.csv", OofCsv(results.oof)));
    FOLDFARM_RETURN_IF_ERROR(
        written.Write(directory, "oof_draws.csv", DrawsCsv(results.oof.oof)));
  }
  std::vector<JobMetrics> metrics;
  for (const JobRecord& job : results.jobs) {
    if (job.metrics.epochs().empty()) continue;
    metrics.push_back({job.details.job(), job.metrics});
  }
  FOLDFARM_RETURN_IF_ERROR(
      written.Write(directory, "metrics.csv", MetricsCsv(metrics)));
  return written.Write(directory, "results.csv", ResultsCsv(results.jobs));
}

absl::Status WriteNpy(const SweepResults& results, const std::string& directory,
                      WrittenFiles& written) {
  NpyFolder folder(directory, written);
  folder.index()["sweep"] = results.sweep.id();
  folder.index()["name"] = results.sweep.name();
  if (!results.oof.oof.models.empty()) {
    FOLDFARM_RETURN_IF_ERROR(AddOof(results.oof, folder));
  }
  folder.index()["jobs"] = Json::array();
  for (const JobRecord& job : results.jobs) {
    folder.index()["jobs"].push_back(job.details.job().name());
  }
  const std::vector<std::string> names = MetricNames(results.jobs);
  const MetricsArray epochs = EpochArray(results.jobs, names);
  folder.index()["metrics"] = names;
  FOLDFARM_RETURN_IF_ERROR(folder.Add("metrics.npy", epochs.shape,
                                      epochs.values,
                                      {"jobs", "epochs, from 1", "metrics"}));
  const std::vector<std::string> result_names = ResultNames(results.jobs);
  std::vector<double> values;
  for (const JobRecord& job : results.jobs) {
    for (const std::string& name : result_names) {
      values.push_back(ValueOr(job.metrics.result(), name, kNaN));
    }
  }
  folder.index()["result_metrics"] = result_names;
  FOLDFARM_RETURN_IF_ERROR(
      folder.Add("results.npy",
                 {static_cast<int64_t>(results.jobs.size()),
                  static_cast<int64_t>(result_names.size())},
                 values, {"jobs", "result_metrics"}));
  return folder.Finish();
}

}  // namespace foldfarm
