// `foldfarm submit --extend`: what a finished sweep becomes when it is trained
// on.
//
// Pure; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_EXTENSION_H_
#define FOLDFARM_COORDINATOR_CLI_EXTENSION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

struct Extension {
  v1::SweepSpec spec;
  // Models that are left out: "prior (arch none)".
  std::vector<std::string> left_out;
};

// The specification of `source`, as GetSweep gives it with its `jobs`, with the
// options of `sets` (KEY=VALUE each) changed and `extends` set. An option of
// `train` is set in the last stage alone, the only one that goes on. `name` may
// be empty: "NAME-extended".
//
// Models without epochs, and those that the sweep dropped by itself, are left
// out; its `screen` and `stop_when` have decided already and are, too. Whether
// the rest can be trained on is the coordinator's to say.
//
// Errors: INVALID_ARGUMENT for mistakes in `sets`, a line each, and when the
// sweep predicts or no model is left.
absl::StatusOr<Extension> ExtendSweep(const v1::Sweep& source,
                                      absl::Span<const v1::Job> jobs,
                                      const std::vector<std::string>& sets,
                                      const std::string& name);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_EXTENSION_H_
