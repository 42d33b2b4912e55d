// Trees among the files of a result, as XGBoost saves them: of all labels, or
// else a file a label.
//
// Functions are pure.
#ifndef FOLDFARM_COORDINATOR_CLI_EXPORT_TREES_H_
#define FOLDFARM_COORDINATOR_CLI_EXPORT_TREES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

inline constexpr absl::string_view kTrees = "model.ubj";
inline constexpr absl::string_view kTreesExtension = ".ubj";

bool AreTreesOfOneLabel(const std::string& name);

// The labels, of the dataset's (`all`), that a file of a job's result is of.
std::vector<std::string> LabelsOfFile(const v1::GetJobResponse& job,
                                      const std::string& file,
                                      const std::vector<std::string>& all);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_EXPORT_TREES_H_
