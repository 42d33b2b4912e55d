// Files that a sweep needs beside its dataset: weights to start from, and what
// users' programs bring.
//
// 1. CheckSweepInputs looks at them on this machine, before anybody is asked.
// 2. UploadSweepInputs stores them and puts their digests into the
//    specification, which then means the same on every machine.
//
// Functions are thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_SWEEP_INPUTS_H_
#define FOLDFARM_COORDINATOR_CLI_SWEEP_INPUTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/base/clock.h"
#include "coordinator/cli/console.h"
#include "coordinator/cli/farm_client.h"
#include "foldfarm/v1/sweep.pb.h"

namespace CLI {
class App;
}  // namespace CLI

namespace foldfarm {

// Declares --set KEY=VALUE, which may be given many times.
void AddSetOption(CLI::App& command, std::vector<std::string>& sets);

// Whether `weights` (InitSpec) is a file: one that is there, from the sweep
// file's folder on, or what can be no registered name.
bool IsWeightsFile(const std::string& sweep_file, const std::string& weights);

// Reads the heads of weights and looks for programs' files.
// Errors: NOT_FOUND or INVALID_ARGUMENT, a line each: "FILE:LINE:COLUMN: " of
// the sweep file, the model, the file and what is wrong with it.
absl::Status CheckSweepInputs(const std::string& sweep_file,
                              const v1::SweepSpec& spec);

// REQUIRES: CheckSweepInputs was content.
// Errors: those of UploadFile.
absl::Status UploadSweepInputs(const Console& console, Clock& clock,
                               FarmClient& client,
                               const std::string& sweep_file,
                               v1::SweepSpec& spec);

// Fills in the digests as UploadSweepInputs does, and stores nothing.
// REQUIRES: CheckSweepInputs was content. Errors: those of reading the files.
absl::Status NameSweepInputs(const std::string& sweep_file,
                             v1::SweepSpec& spec);

// Models that run a program of the user's (arch: exec).
std::vector<std::string> ExecModels(const v1::SweepSpec& spec);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_SWEEP_INPUTS_H_
