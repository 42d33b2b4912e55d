// What people call sweeps and jobs.
//
// Functions are pure.
#ifndef FOLDFARM_COORDINATOR_QUEUE_JOB_NAMES_H_
#define FOLDFARM_COORDINATOR_QUEUE_JOB_NAMES_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/ids.h"

namespace foldfarm {

// "s3".
std::string SweepName(SweepId sweep);
// The other way round; none for anything else.
std::optional<SweepId> ParseSweepName(absl::string_view name);
// "s3/130_gru/0".
std::string JobName(SweepId sweep, const std::string& model, int fold);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_JOB_NAMES_H_
