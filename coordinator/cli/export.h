// A sweep's models as files that others load.
//
// DIRECTORY/MODEL/FOLD.safetensors holds the weights of a job; what else it
// left, as XGBoost's model, stands beside it as FOLD.EXTENSION, or as FOLD.NAME
// where that would not say what it is, as of trees of one label. index.json
// says what each file is and of which labels, README.txt how to load it.
// Predictions and metrics may stand in the same folder: export_results.h.
#ifndef FOLDFARM_COORDINATOR_CLI_EXPORT_H_
#define FOLDFARM_COORDINATOR_CLI_EXPORT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/cli/farm_client.h"
#include "foldfarm/v1/farm.pb.h"
#include "foldfarm/v1/job.pb.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

struct ExportOptions {
  std::string sweep;  // Id or name.
  std::string directory;
  // Only these; empty: all.
  std::vector<std::string> models;
  // Writes index.json and README.txt too.
  bool index = true;
  // Asked in between; true ends with CANCELLED.
  std::function<bool()> cancelled;
  // Bytes that are there, and all bytes.
  std::function<void(int64_t done, int64_t total)> progress;
};

// A file that was fetched.
struct ExportedFile {
  v1::ArtifactRef ref;
  std::string path;  // Below the folder: "gru/0.safetensors".
  std::string model;
  int fold = 0;
};

struct ExportReport {
  v1::Sweep sweep;
  v1::Dataset dataset;
  // By name, as of their first fold; that have results.
  std::map<std::string, v1::ModelSpec> models;
  // Of these: whose folds differ in what their predictions depend on.
  std::set<std::string> mixed;
  std::vector<ExportedFile> exported;
  int64_t jobs = 0;   // That have files.
  int64_t files = 0;  // Of these, `kept` were there already.
  int64_t kept = 0;
  int64_t bytes = 0;
  // Files of an earlier export to this folder that this one does not have:
  // paths below the folder.
  std::vector<std::string> removed;
  // Jobs that have no result (yet), and those whose result has no weights.
  std::vector<std::string> unfinished;
  std::vector<std::string> without_files;
};

// Fetches the files of every job that succeeded. A file that is there with the
// right digest is kept; another one under that name is replaced. Trees of one
// label that an earlier version called FOLD.ubj get their present name.
//
// With an index, and unless only some models are wanted or none has a result,
// files that the former index.json lists and the new one does not are removed,
// and so are folders of models that are empty then. Files of models with a job
// that has no result (yet) stay, and those whose digest is not the one listed.
//
// Errors: NOT_FOUND when the sweep or the model does not exist; those of
// CheckReplaceable, before anything is fetched; those of GetJob,
// MakePlaceInside, DownloadFile and of writing and removing.
absl::StatusOr<ExportReport> ExportModels(FarmClient& client,
                                          const ExportOptions& options);

// A model's labels in the order of its outputs, which is the dataset's.
std::vector<std::string> LabelsOfModel(const v1::ModelSpec& model,
                                       const std::vector<std::string>& all);

// NOT_FOUND for a model that the sweep does not have, with the nearest of
// `models`.
absl::Status UnknownModel(const std::string& sweep, const std::string& model,
                          const std::vector<std::string>& models);

// Where the files of a job's result go, by artifact's name: "2.safetensors".
// Predictions are left out; of two with one extension the later one keeps its
// name, "2.history.json", and so do trees of one label, "2.model-clay.ubj". No
// two go to one place.
std::map<std::string, std::string> ExportNames(
    const std::vector<v1::ArtifactRef>& artifacts, int fold);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_EXPORT_H_
