// A sweep as people write it: an expanded specification turned back into a
// short sweep file.
//
// Pure; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_SWEEP_TEXT_H_
#define FOLDFARM_COORDINATOR_CLI_SWEEP_TEXT_H_

#include <string>

#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// YAML with the names of the sweep file. What most models say alike stands
// under `defaults`; each model says its architecture and what differs. The rows
// of a fold file are counted, not listed.
std::string SweepText(const v1::SweepSpec& spec);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_SWEEP_TEXT_H_
