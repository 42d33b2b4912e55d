#include "coordinator/cli/dataset_import.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/spectra/import.h"
#include "common/spectra/sample_table.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/transfer.h"

namespace foldfarm {
namespace {

constexpr size_t kSamplesShown = 5;

absl::StatusOr<std::string> MakeScratch(const std::string& parent) {
  if (parent.empty()) return MakeTemporaryDirectory("foldfarm-import");
  const std::string scratch = JoinPath(parent, "import");
  FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(scratch));
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(scratch));
  return scratch;
}

absl::StatusOr<ImportResult> Prepare(const Console& console, Clock& clock,
                                     const DatasetImport& options,
                                     const std::string& output) {
  ImportOptions import;
  import.directory = options.directory;
  import.output = output;
  import.threads = options.threads;
  import.allow_missing = options.allow_missing;
  import.splits = options.splits;
  import.labels = options.labels;
  import.cancel = &InterruptScope::Flag();
  Progress progress(console, clock, "Preparing", ProgressUnit::kSamples);
  return ImportDataset(import, [&](int64_t done, int64_t total) {
    progress.Update(done, total);
  });
}

// The first lines, indented, and how many more there are.
template <typename Item>
std::string FirstLines(const std::vector<Item>& items,
                       std::string (*line)(const Item&)) {
  std::string text;
  const size_t shown = std::min(items.size(), kSamplesShown);
  for (size_t i = 0; i < shown; ++i) {
    absl::StrAppend(&text, "\n  ", line(items[i]));
  }
  if (shown < items.size()) {
    absl::StrAppend(&text, "\n  and ", items.size() - shown, " more");
  }
  return text;
}

std::string OddLine(const OddSample& sample) {
  return absl::StrCat(sample.id, ": ", sample.warning);
}

std::string SharedLine(const SharedFeatures& sample) {
  return absl::StrCat(sample.id, " has that of ", sample.other);
}

void Report(const Console& console, const ImportResult& result) {
  console.Note(absl::StrCat("Prepared ", FormatPlural(result.samples, "sample"),
                            " (", FormatCount(result.scans), " scans, ",
                            FormatBytes(result.size_bytes), ") in ",
                            HumanDuration(absl::Seconds(result.seconds)),
                            " with ", FormatPlural(result.threads, "thread")));
  if (!result.missing.empty()) {
    console.Warn(absl::StrCat(
        FormatPlural(static_cast<int64_t>(result.missing.size()), "sample"),
        result.missing.size() == 1
            ? " left out, its features file is absent: "
            : " left out, their features files are absent: ",
        absl::StrJoin(result.missing_by_split, ", ",
                      [](std::string* out, const auto& split) {
                        absl::StrAppend(out, split.second, " of split ",
                                        split.first);
                      })));
  }
  if (result.train_unlabelled > 0) {
    console.Warn(absl::StrCat(
        FormatCount(result.train_unlabelled), " of ",
        FormatPlural(result.train, "train sample"),
        result.train_unlabelled == 1
            ? " has no row in a label file and is not trained on"
            : " have no row in a label file and are not trained on"));
  }
  if (!result.odd.empty()) {
    console.Warn(absl::StrCat(
        FormatPlural(static_cast<int64_t>(result.odd.size()), "sample"),
        " that models can learn little from:",
        FirstLines(result.odd, OddLine)));
  }
  if (!result.shared.empty()) {
    console.Warn(absl::StrCat(
        FormatPlural(static_cast<int64_t>(result.shared.size()), "sample"),
        " with the features file of another one (same features_path or MD5); "
        "where the two are in different folds, scores are too good:",
        FirstLines(result.shared, SharedLine)));
  }
}

// Size and time of change of a file. What cannot be asked for them has a stamp
// as well, which changes when it can.
std::string Stamp(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const auto size = fs::file_size(path, error);
  if (error) return absl::StrCat("error ", error.value());
  const auto changed = fs::last_write_time(path, error);
  if (error) return absl::StrCat("error ", error.value());
  return absl::StrCat(size, "\t", changed.time_since_epoch().count());
}

}  // namespace

absl::StatusOr<v1::Dataset> ImportAndRegister(const Console& console,
                                              Clock& clock, FarmClient& client,
                                              const DatasetImport& options) {
  if (!IsValidName(options.name, 64)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "dataset name is \"", options.name,
        "\", expected letters, digits, '.', '_' and '-', at most 64"));
  }
  // Nobody prepares for minutes only to learn that no farm is there, or that
  // the name is taken.
  FOLDFARM_ASSIGN_OR_RETURN(
      const v1::ListDatasetsResponse known,
      client.Call(&v1::FarmService::StubInterface::ListDatasets, {}));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string scratch,
                            MakeScratch(options.scratch));
  const absl::Cleanup remove = [&] { (void)RemoveRecursively(scratch); };
  const std::string output = JoinPath(scratch, "dataset.safetensors");
  FOLDFARM_ASSIGN_OR_RETURN(const ImportResult result,
                            Prepare(console, clock, options, output));
  Report(console, result);
  if (options.reuse_identical) {
    const v1::Dataset* same = nullptr;
    for (const v1::Dataset& dataset : known.datasets()) {
      if (dataset.digest() != result.digest) continue;
      if (same == nullptr || dataset.name() == options.preferred) {
        same = &dataset;
      }
    }
    if (same != nullptr) {
      console.Note(absl::StrCat("Dataset ", same->name(),
                                " has the same content and is used"));
      return *same;
    }
  }
  FOLDFARM_RETURN_IF_ERROR(
      UploadWithProgress(console, clock, client, output, result.digest)
          .status());
  v1::RegisterDatasetRequest request;
  request.set_name(options.name);
  request.set_digest(result.digest);
  return client.Call(&v1::FarmService::StubInterface::RegisterDataset, request);
}

absl::StatusOr<std::string> FingerprintDirectory(const std::string& directory) {
  if (!IsDirectory(directory)) {
    return absl::NotFoundError(absl::StrCat(directory, ": no such folder"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> files,
                            ListDatasetFiles(directory));
  std::string stamps;
  for (const std::string& file : files) {
    absl::StrAppend(&stamps, file, "\t", Stamp(JoinPath(directory, file)),
                    "\n");
  }
  return Sha256Hex(stamps);
}

std::string DatasetNameOf(const std::string& directory,
                          const std::string& fingerprint) {
  std::string trimmed = directory;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  std::string name = BaseName(trimmed).substr(0, 40);
  if (!IsValidName(name, 40)) name = "data";
  return absl::StrCat(name, "-", fingerprint.substr(0, 8));
}

}  // namespace foldfarm
