#include "coordinator/cli/export_results.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/rpc/artifact_client.h"
#include "common/tensorfile/tensorfile.h"
#include "coordinator/cli/export.h"
#include "coordinator/cli/inside_folder.h"
#include "coordinator/cli/metrics_table.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
using Strings = std::vector<std::string>;

// How an export's files begin, those whose names others use as well.
struct FileBeginning {
  absl::string_view name;
  absl::string_view text;
};
constexpr FileBeginning kBeginnings[] = {
    {"README.txt", "Models of sweep "},
    {"index.json", "{\n \"sweep\": \""},
    // Earlier versions described the arrays there.
    {"index.json", "{\n \"arrays\": {"},
    {kNpyIndexFile, "{\n \"arrays\": {"},
    {"oof.csv", "sample_id,fold,instrument_type,"},
    {"oof_draws.csv", "sample_id,model,draw,"},
    {"metrics.csv", "job,model,fold,epoch"},
    {"results.csv", "job,model,fold,state"},
};
constexpr size_t kMostBeginningBytes = 64;

absl::StatusOr<Strings> ReadNames(const TensorFile& file,
                                  const std::string& key) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, file.Metadata(key));
  const auto json = ParseJson(text);
  Strings names;
  if (json.is_array()) {
    for (const auto& name : json) {
      if (name.is_string()) names.push_back(name.get<std::string>());
    }
  }
  if (!json.is_array() || names.size() != json.size()) {
    return absl::DataLossError(
        absl::StrCat("its ", key, " are not a list of names"));
  }
  return names;
}

absl::StatusOr<size_t> PlaceOf(const Strings& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    return absl::DataLossError(absl::StrCat("\"", name, "\" is not known"));
  }
  return static_cast<size_t>(found - names.begin());
}

// Puts a fold's draws into the model's rows. False: other folds have another
// number of them.
absl::StatusOr<bool> AddDraws(const TensorFile& file, const OofMatrix& oof,
                              OofModel& model) {
  FOLDFARM_ASSIGN_OR_RETURN(const Strings ids, ReadNames(file, "sample_ids"));
  FOLDFARM_ASSIGN_OR_RETURN(const Strings labels, ReadNames(file, "labels"));
  FOLDFARM_ASSIGN_OR_RETURN(const TensorView view, file.Get("draws"));
  const auto samples = static_cast<int64_t>(ids.size());
  const auto own = static_cast<int64_t>(labels.size());
  FOLDFARM_ASSIGN_OR_RETURN(const absl::Span<const float> values,
                            file.F32("draws", {-1, samples, own}));
  const auto draws = static_cast<size_t>(view.shape[0]);
  const size_t cells = oof.num_samples() * oof.num_labels();
  if (model.draws.empty()) {
    model.draws.assign(draws * cells, std::numeric_limits<double>::quiet_NaN());
  } else if (model.draws.size() != draws * cells) {
    return false;
  }
  std::vector<size_t> columns;
  for (const std::string& label : labels) {
    FOLDFARM_ASSIGN_OR_RETURN(const size_t column, PlaceOf(oof.labels, label));
    columns.push_back(column);
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    FOLDFARM_ASSIGN_OR_RETURN(const size_t row,
                              PlaceOf(oof.sample_ids, ids[i]));
    for (size_t d = 0; d < draws; ++d) {
      for (size_t k = 0; k < columns.size(); ++k) {
        model.draws[d * cells + row * oof.num_labels() + columns[k]] =
            values[(d * ids.size() + i) * columns.size() + k];
      }
    }
  }
  return true;
}

class Fetcher {
 public:
  Fetcher(FarmClient& client, const ResultOptions& options)
      : client_(client), options_(options) {}

  absl::StatusOr<SweepResults> Fetch() {
    v1::GetSweepRequest request;
    request.set_sweep(options_.sweep);
    FOLDFARM_ASSIGN_OR_RETURN(results_.sweep,
                              client_.Call(&Farm::GetSweep, request));
    Strings models;
    for (const v1::ModelSpec& model : results_.sweep.spec().models()) {
      models.push_back(model.name());
    }
    if (!options_.model.empty() && std::find(models.begin(), models.end(),
                                             options_.model) == models.end()) {
      return UnknownModel(options_.sweep, options_.model, models);
    }
    FOLDFARM_ASSIGN_OR_RETURN(
        results_.jobs,
        FetchJobRecords(client_, results_.sweep.id(), options_.cancelled));
    FOLDFARM_ASSIGN_OR_RETURN(results_.oof,
                              FetchOof(client_, results_.sweep.id()));
    for (const std::string& model : models) {
      const bool complete = std::any_of(
          results_.oof.oof.models.begin(), results_.oof.oof.models.end(),
          [&](const OofModel& one) { return one.name == model; });
      if (!complete && Wanted(model)) results_.incomplete.push_back(model);
    }
    KeepWanted();
    if (options_.draws) FOLDFARM_RETURN_IF_ERROR(FetchDraws());
    return std::move(results_);
  }

 private:
  bool Wanted(const std::string& model) const {
    return options_.model.empty() || model == options_.model;
  }

  void KeepWanted() {
    auto& jobs = results_.jobs;
    jobs.erase(std::remove_if(jobs.begin(), jobs.end(),
                              [&](const JobRecord& job) {
                                return !Wanted(job.details.job().model());
                              }),
               jobs.end());
    auto& models = results_.oof.oof.models;
    models.erase(std::remove_if(models.begin(), models.end(),
                                [&](const OofModel& model) {
                                  return !Wanted(model.name);
                                }),
                 models.end());
  }

  // The files to fetch, and the place of their model in the table.
  struct DrawsFile {
    const JobRecord* job;
    v1::ArtifactRef ref;
    size_t model;
  };

  std::vector<DrawsFile> DrawsFiles() const {
    std::vector<DrawsFile> files;
    for (const JobRecord& job : results_.jobs) {
      for (size_t m = 0; m < results_.oof.oof.models.size(); ++m) {
        if (results_.oof.oof.models[m].name != job.details.job().model()) {
          continue;
        }
        for (const v1::ArtifactRef& ref : job.details.artifacts()) {
          if (ref.name() == kOofFile) files.push_back({&job, ref, m});
        }
      }
    }
    return files;
  }

  absl::Status FetchDraws() {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string folder,
                              MakeTemporaryDirectory("foldfarm-export"));
    const absl::Cleanup remove = [&] { (void)RemoveRecursively(folder); };
    const std::string path = JoinPath(folder, std::string(kOofFile));
    const std::vector<DrawsFile> files = DrawsFiles();
    int64_t done = 0, total = 0;
    for (const DrawsFile& file : files) total += file.ref.size_bytes();
    std::set<size_t> uneven;
    for (const DrawsFile& file : files) {
      if (uneven.count(file.model) > 0) {
        done += file.ref.size_bytes();
        continue;
      }
      TransferOptions transfer;
      transfer.cancelled = options_.cancelled;
      FOLDFARM_RETURN_IF_ERROR(
          client_.Explain(DownloadFile(client_.artifacts(), file.ref.digest(),
                                       file.ref.size_bytes(), path, transfer)));
      FOLDFARM_ASSIGN_OR_RETURN(const auto tensors, TensorFile::Open(path));
      OofModel& model = results_.oof.oof.models[file.model];
      const absl::StatusOr<bool> added =
          AddDraws(*tensors, results_.oof.oof, model);
      if (!added.ok()) {
        return Annotate(
            added.status(),
            absl::StrCat("predictions of ", file.job->details.job().name()));
      }
      if (!*added) {
        // Nothing can be said of a number of draws that folds do not share.
        model.draws.clear();
        results_.without_draws.push_back(model.name);
        uneven.insert(file.model);
      }
      done += file.ref.size_bytes();
      if (options_.progress) options_.progress(done, total);
    }
    return absl::OkStatus();
  }

  FarmClient& client_;
  const ResultOptions& options_;
  SweepResults results_;
};

}  // namespace

absl::Status CheckReplaceable(const std::string& directory,
                              const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const std::string path = JoinPath(directory, name);
    struct stat info;
    // What is no plain file holds no text to lose.
    if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    std::ifstream file(path, std::ios::binary);
    if (!file) return ErrnoStatus(path, "cannot open");
    std::string text(kMostBeginningBytes, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    const bool own =
        std::any_of(std::begin(kBeginnings), std::end(kBeginnings),
                    [&](const FileBeginning& beginning) {
                      return beginning.name == name &&
                             absl::StartsWith(text, beginning.text);
                    });
    if (own) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        path,
        " is there and no export wrote it, expected none or that of an "
        "earlier export; move it away, or export to another folder"));
  }
  return absl::OkStatus();
}

absl::StatusOr<SweepResults> FetchResults(FarmClient& client,
                                          const ResultOptions& options) {
  return Fetcher(client, options).Fetch();
}

absl::Status WrittenFiles::Write(const std::string& directory,
                                 const std::string& name,
                                 const std::string& data) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                            MakePlaceInside(directory, name));
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(path, data));
  ++files;
  bytes += static_cast<int64_t>(data.size());
  return absl::OkStatus();
}

std::vector<std::string> MetricNames(const std::vector<JobRecord>& jobs) {
  std::set<std::string> names;
  for (const JobRecord& job : jobs) {
    for (const v1::EpochMetrics& epoch : job.metrics.epochs()) {
      for (const auto& [name, value] : epoch.values()) names.insert(name);
    }
  }
  return MetricsInOrder(std::move(names));
}

}  // namespace foldfarm
