#include "coordinator/cli/predict_data.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/digest.h"
#include "common/base/edit_distance.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/spectra/sample_table.h"
#include "coordinator/cli/dataset_import.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/oof_table.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

constexpr size_t kMissingNamed = 50;
constexpr char kTrainSplit[] = "train";

// What is asked for, as far as it can be known before it is predicted.
struct Asked {
  // Samples of split train are or may be among it.
  bool train = false;
  // It is of the dataset that the sweep was trained on.
  bool own = false;
  // It holds every sample that the sweep was trained on.
  bool all_trained_on = false;
  // Samples; empty: not known.
  std::vector<std::string> ids;
};

absl::Status CheckLabels(const std::vector<std::string>& labels,
                         const std::string& where,
                         const PredictSource& source) {
  if (labels == source.labels) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(where, ": labels are ", absl::StrJoin(labels, ","),
                   ", expected those of the models of ", source.name,
                   " in their order: ", absl::StrJoin(source.labels, ",")));
}

absl::StatusOr<v1::Dataset> FindDataset(FarmClient& client,
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
  return dataset;
}

Asked AskedOf(const v1::Dataset& dataset, const PredictSource& source,
              const PredictDataOptions& options) {
  const bool has_train =
      std::any_of(dataset.counts().begin(), dataset.counts().end(),
                  [](const v1::SampleCount& count) {
                    return count.split() == kTrainSplit && count.samples() > 0;
                  });
  const bool of_train = std::find(options.splits.begin(), options.splits.end(),
                                  kTrainSplit) != options.splits.end();
  const bool own = dataset.name() == source.dataset;
  return {.train = has_train && of_train,
          .own = own,
          .all_trained_on = of_train && own,
          .ids = options.samples};
}

// Says on stderr when the networks were trained on what they are to predict.
absl::Status WarnOfTrained(const Console& console, FarmClient& client,
                           const PredictSource& source, const Asked& asked) {
  if (!asked.train && asked.ids.empty()) return absl::OkStatus();
  const bool bundle = source.dataset.empty();
  std::string what = absl::StrCat("samples of split ", kTrainSplit,
                                  " may have been trained on: networks");
  bool known = false;
  if (!bundle && (asked.all_trained_on || !asked.ids.empty())) {
    FOLDFARM_ASSIGN_OR_RETURN(const OofTable table,
                              FetchOof(client, source.name));
    const OofMatrix& oof = table.oof;
    const std::set<std::string> folded(oof.sample_ids.begin(),
                                       oof.sample_ids.end());
    const auto last = std::max_element(oof.folds.begin(), oof.folds.end());
    // With one fold alone, a hold-out, the others were trained on.
    const bool held_out = last != oof.folds.end() && *last == 0;
    const std::set<std::string> seen =
        held_out ? std::set<std::string>(table.only_trained.begin(),
                                         table.only_trained.end())
                 : folded;
    const int64_t trained_on =
        asked.all_trained_on ? static_cast<int64_t>(seen.size())
                             : std::count_if(asked.ids.begin(), asked.ids.end(),
                                             [&](const std::string& id) {
                                               return seen.count(id) > 0;
                                             });
    if (trained_on == 0) return absl::OkStatus();
    known = true;
    what = absl::StrCat(
        FormatPlural(trained_on, "sample"),
        !asked.own        ? " with the id of one that was"
        : trained_on == 1 ? " was"
                          : " were",
        " trained on: ",
        held_out ? "the network"
                 : absl::StrCat(*last, " of ", *last + 1, " networks"),
        " of each model");
  }
  if (!known && !asked.train) return absl::OkStatus();
  console.Warn(absl::StrCat(
      what, " of ", source.name,
      " saw them with their labels, so a score of these predictions is far too "
      "good; for honest figures ",
      bundle ? "see its MODEL_CARD.md"
             : absl::StrCat("use foldfarm oof ", source.name)));
  return absl::OkStatus();
}

// The splits that hold what is asked for; what that is, and which of it has no
// features file.
absl::StatusOr<std::vector<std::string>> FindSamples(
    const PredictDataOptions& options, const SampleTable& table,
    PredictData& data, Asked& asked) {
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
    if (FileExists(path)) {
      asked.ids.push_back(row.id);
      asked.train = asked.train || row.split == kTrainSplit;
      continue;
    }
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
    FOLDFARM_ASSIGN_OR_RETURN(
        const v1::Dataset dataset,
        FindDataset(
            client, source,
            options.dataset.empty() ? source.dataset : options.dataset));
    FOLDFARM_RETURN_IF_ERROR(WarnOfTrained(context.console, client, source,
                                           AskedOf(dataset, source, options)));
    PredictData data;
    data.dataset = dataset.name();
    data.digest = dataset.digest();
    data.chosen = options.samples;
    return data;
  }
  FOLDFARM_ASSIGN_OR_RETURN(const SampleTable table,
                            ReadSampleTable(options.directory, source.labels));
  FOLDFARM_RETURN_IF_ERROR(
      CheckLabels(table.labels, options.directory, source));
  PredictData data;
  DatasetImport import;
  Asked asked;
  FOLDFARM_ASSIGN_OR_RETURN(import.splits,
                            FindSamples(options, table, data, asked));
  data.chosen = asked.ids;
  FOLDFARM_RETURN_IF_ERROR(
      WarnOfTrained(context.console, client, source, asked));
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
