// What an export to the same folder left before.
#ifndef FOLDFARM_COORDINATOR_CLI_FORMER_EXPORT_H_
#define FOLDFARM_COORDINATOR_CLI_FORMER_EXPORT_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace foldfarm {

// Removes the files MODEL/NAME that `index`, the index.json of the former
// export, lists beside itself, but those that are `present` in the new one and
// those of models that are `kept`; then the folders of models that are empty.
// Weights of models that are gone would stand beside fresh ones as if of the
// same sweep. What somebody changed since, or put there, stays. Returns the
// paths, below the folder, of what was removed.
//
// Errors: those of removing. An index that is none lists nothing.
absl::StatusOr<std::vector<std::string>> RemoveFormerExport(
    const std::string& index, const std::set<std::string>& present,
    const std::set<std::string>& kept);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_FORMER_EXPORT_H_
