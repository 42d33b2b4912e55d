#include "coordinator/cli/predict_data.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/spectra/sample_table.h"
#include "coordinator/cli/dataset_import.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/suggest.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

constexpr size_t kMissingNamed = 50;

absl::Status CheckLabels(const std::vector<std::string>& labels,
                         const std::string& where,
                         const PredictSource& source) {
  if (labels == source.labels) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": labels are ", absl::StrJoin(labels, ","),
                   ", expected those of the models of ", source.name,
                   " in their order: ", absl::StrJoin(source.labels, ",")));
}

absl::StatusOr<PredictData> FindDataset(FarmClient& client,
                                        const PredictSource& source,
                                        const std::string& name) {
  v1::GetDatasetRequest request;
  request.set_name(name);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Dataset dataset,
                            client.Call(&Farm::GetDataset, request));
  std::vector<std::string> labels;
  for (const v1::LabelPrevalence& label : dataset.labels()) {
    labels.push_back(label.label());
  }
  FOLDFARM_RETURN_IF_ERROR(
      CheckLabels(labels, absl::StrCat("dataset ", name), source));
  PredictData data;
  data.dataset = dataset.name();
  data.digest = dataset.digest();
  return data;
}

// The splits that hold what is asked for; which of it has no features file.
absl::StatusOr<std::vector<std::string>> FindSamples(
    const PredictDataOptions& options, const SampleTable& table,
    PredictData& data) {
  const std::set<std::string> splits(options.splits.begin(),
                                     options.splits.end());
  const std::set<std::string> ids(options.samples.begin(),
                                  options.samples.end());
  std::set<std::string> needed = splits;
  std::vector<std::string> known;
  for (const SampleRow& row : table.samples) {
    known.push_back(row.id);
    data.split_of[row.id] = row.split;
    if (ids.empty() ? splits.count(row.split) == 0 : ids.count(row.id) == 0) {
      continue;
    }
    needed.insert(row.split);
    const std::string path = JoinPath(options.directory, row.features_path);
    if (FileExists(path)) continue;
    if (!ids.empty()) {
      return absl::NotFoundError(absl::StrCat(
          "sample ", row.id, " has no features file, expected ", path));
    }
    data.missing.push_back(row.id);
  }
  for (const std::string& id : options.samples) {
    if (data.split_of.count(id) > 0) continue;
    const std::string near = Nearest(id, known);
    return absl::NotFoundError(absl::StrCat(
        JoinPath(options.directory, "metadata.csv"), ": no sample \"", id, "\"",
        near.empty() ? "" : absl::StrCat(" (did you mean \"", near, "\"?)")));
  }
  return std::vector<std::string>(needed.begin(), needed.end());
}

}  // namespace

std::string NameSome(const std::vector<std::string>& names, size_t most) {
  const size_t shown = std::min(names.size(), most);
  return absl::StrCat(
      absl::StrJoin(names.begin(),
                    names.begin() + static_cast<ptrdiff_t>(shown), ", "),
      shown < names.size()
          ? absl::StrCat(" and ", names.size() - shown, " more")
          : "");
}

absl::StatusOr<PredictData> FindPredictData(CommandContext& context,
                                            FarmClient& client,
                                            const PredictSource& source,
                                            const PredictDataOptions& options) {
  if (options.directory.empty()) {
    if (options.dataset.empty() && source.dataset.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "bundle ", source.name,
          " has no dataset of its own; name samples with --data or --dataset"));
    }
    return FindDataset(
        client, source,
        options.dataset.empty() ? source.dataset : options.dataset);
  }
  FOLDFARM_ASSIGN_OR_RETURN(const SampleTable table,
                            ReadSampleTable(options.directory, source.labels));
  FOLDFARM_RETURN_IF_ERROR(
      CheckLabels(table.labels, options.directory, source));
  PredictData data;
  DatasetImport import;
  FOLDFARM_ASSIGN_OR_RETURN(import.splits, FindSamples(options, table, data));
  if (!data.missing.empty()) {
    context.console.Warn(absl::StrCat(
        FormatPlural(static_cast<int64_t>(data.missing.size()), "sample"),
        " of ", options.directory,
        " without a features file, hence not predicted: ",
        NameSome(data.missing, kMissingNamed)));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string folder,
                            FingerprintDirectory(options.directory));
  const std::string fingerprint =
      Sha256Hex(absl::StrCat(folder, "\n", absl::StrJoin(import.splits, ","),
                             "\n", absl::StrJoin(source.labels, ",")));
  import.directory = options.directory;
  import.name = DatasetNameOf(options.directory, fingerprint);
  import.labels = source.labels;
  import.allow_missing = true;
  import.reuse_identical = true;
  v1::GetDatasetRequest request;
  request.set_name(import.name);
  absl::StatusOr<v1::Dataset> dataset = client.Call(&Farm::GetDataset, request);
  if (absl::IsNotFound(dataset.status())) {
    dataset = ImportAndRegister(context.console, context.clock, client, import);
  } else if (dataset.ok()) {
    context.console.Note(
        absl::StrCat("Dataset ", import.name, " is imported already"));
  }
  FOLDFARM_RETURN_IF_ERROR(dataset.status());
  data.dataset = dataset->name();
  data.digest = dataset->digest();
  return data;
}

}  // namespace foldfarm
