// A sweep as people write it: an expanded specification turned back into a
// short sweep file, and options by the names that they have there.
//
// Pure; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_SWEEP_TEXT_H_
#define FOLDFARM_COORDINATOR_CLI_SWEEP_TEXT_H_

#include <string>
#include <vector>

#include "foldfarm/v1/farm.pb.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// YAML with the names of the sweep file. What most models say alike stands
// under `defaults`; each model says its architecture and what differs. The rows
// of a fold file are counted, not listed.
std::string SweepText(const v1::SweepSpec& spec);

// An option of a job that was retried otherwise than its sweep says: "train.lr"
// or "stages[1].train.lr", and both values as YAML; "not set" for none.
struct ChangedOption {
  std::string name;
  std::string now;
  std::string before;
};

// Those of a model in which it differs, in the order of the proto file.
std::vector<ChangedOption> ChangedOptions(const v1::ModelSpec& now,
                                          const v1::ModelSpec& before);
// Those of a job, of whose sweep `spec` is.
std::vector<ChangedOption> ChangedOptions(const v1::GetJobResponse& job,
                                          const v1::SweepSpec& spec);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_SWEEP_TEXT_H_
