// Which samples are predicted, and where the farm finds them.
#ifndef FOLDFARM_COORDINATOR_CLI_PREDICT_DATA_H_
#define FOLDFARM_COORDINATOR_CLI_PREDICT_DATA_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/command_context.h"
#include "coordinator/cli/farm_client.h"
#include "coordinator/cli/predict_source.h"

namespace foldfarm {

struct PredictDataOptions {
  // A folder in the competition's layout, or ...
  std::string directory;
  // ... the name of a dataset; both empty: the source's own.
  std::string dataset;
  // Splits, or else ids of samples.
  std::vector<std::string> splits;
  std::vector<std::string> samples;
};

struct PredictData {
  // Name and digest on the farm.
  std::string dataset;
  std::string digest;
  // Samples that will be predicted; empty: only the farm knows.
  std::vector<std::string> chosen;
  // Samples asked for that the folder has no features file of.
  std::vector<std::string> missing;
  // Of a folder: each sample's split.
  std::map<std::string, std::string> split_of;
};

// Finds the dataset; of a folder, imports what is asked for unless the farm has
// it already. Says on stderr which samples have no features file, and when the
// source was trained on some. An interrupt ends it with CANCELLED.
//
// Errors: INVALID_ARGUMENT when the labels are not those of `source`; NOT_FOUND
// for a dataset, split or sample that is not there, and for a sample asked for
// by its id without a features file; those of FetchOof and ImportAndRegister.
absl::StatusOr<PredictData> FindPredictData(CommandContext& context,
                                            FarmClient& client,
                                            const PredictSource& source,
                                            const PredictDataOptions& options);

// The first `most` names and how many more there are: "S1, S2 and 3 more".
std::string NameSome(const std::vector<std::string>& names, size_t most);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_PREDICT_DATA_H_
