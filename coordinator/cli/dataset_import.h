// A folder of samples becomes a registered dataset: prepare, upload, register.
#ifndef FOLDFARM_COORDINATOR_CLI_DATASET_IMPORT_H_
#define FOLDFARM_COORDINATOR_CLI_DATASET_IMPORT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "coordinator/cli/console.h"
#include "coordinator/cli/farm_client.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

struct DatasetImport {
  std::string directory;
  std::string name;
  bool allow_missing = false;
  // Of ImportOptions.
  std::vector<std::string> splits;
  std::vector<std::string> labels;
  // 0: as many as there are cores.
  int threads = 0;
  // Where the prepared file stands until it is uploaded, in a folder of its own
  // that is taken away again; empty: the system's temporary folder.
  std::string scratch;
  // A dataset of the same content that is registered under another name serves
  // as well; without, it is registered anyway.
  bool reuse_identical = false;
  // The one to take if there are several of that content.
  std::string preferred;
};

// Shows progress on stderr, what was left out, and what is odd. An interrupt
// (see interrupt.h) ends it with CANCELLED. Either the dataset is registered
// whole or the farm and the disk are as before.
//
// Errors: those of ImportDataset, UploadFile and RegisterDataset.
absl::StatusOr<v1::Dataset> ImportAndRegister(const Console& console,
                                              Clock& clock, FarmClient& client,
                                              const DatasetImport& options);

// Names a folder's present contents: a SHA-256 over the path, size and time of
// change of every file that an import reads. Others do not count: a run may
// write its own into the same folder. Errors: NOT_FOUND when there is no such
// folder; those of ListDatasetFiles.
absl::StatusOr<std::string> FingerprintDirectory(const std::string& directory);

// A dataset's name from the folder that it came from and a fingerprint of what
// it held: "mars-1f9ec07a".
std::string DatasetNameOf(const std::string& directory,
                          const std::string& fingerprint);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_DATASET_IMPORT_H_
