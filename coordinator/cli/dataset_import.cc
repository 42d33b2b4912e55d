#include "coordinator/cli/dataset_import.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/spectra/import.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/transfer.h"

namespace foldfarm {
namespace {

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

void Report(const Console& console, const ImportResult& result) {
  console.Note(absl::StrCat("Prepared ", FormatPlural(result.samples, "sample"),
                            " (", FormatCount(result.scans), " scans, ",
                            FormatBytes(result.size_bytes), ") in ",
                            HumanDuration(absl::Seconds(result.seconds)),
                            " with ", FormatPlural(result.threads, "thread")));
  if (!result.missing.empty()) {
    console.Warn(absl::StrCat(
        FormatPlural(static_cast<int64_t>(result.missing.size()), "sample"),
        " left out, their features files are absent: ",
        absl::StrJoin(result.missing_by_split, ", ",
                      [](std::string* out, const auto& split) {
                        absl::StrAppend(out, split.second, " of split ",
                                        split.first);
                      })));
  }
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
    for (const v1::Dataset& dataset : known.datasets()) {
      if (dataset.digest() == result.digest) return dataset;
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
  namespace fs = std::filesystem;
  if (!IsDirectory(directory)) {
    return absl::NotFoundError(absl::StrCat(directory, ": no such folder"));
  }
  std::error_code error;
  std::vector<std::string> entries;
  for (fs::recursive_directory_iterator it(
           directory, fs::directory_options::follow_directory_symlink, error),
       end;
       !error && it != end; it.increment(error)) {
    if (!it->is_regular_file(error)) continue;
    const auto changed = it->last_write_time(error).time_since_epoch().count();
    entries.push_back(
        absl::StrCat(it->path().lexically_relative(directory).string(), "\t",
                     it->file_size(error), "\t", changed, "\n"));
  }
  if (error) {
    return absl::InternalError(
        absl::StrCat(directory, ": cannot read: ", error.message()));
  }
  std::sort(entries.begin(), entries.end());
  return Sha256Hex(absl::StrJoin(entries, ""));
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
