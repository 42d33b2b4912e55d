// A user's own program (ExecSpec) as it is started on this box.
//
// It runs in the attempt's folder with an environment of its own: what a
// program needs to be found and to find its device, and nothing that the
// daemon's own environment may hold, such as credentials.
#ifndef FOLDFARM_WORKER_AGENT_EXEC_PROGRAM_H_
#define FOLDFARM_WORKER_AGENT_EXEC_PROGRAM_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

struct ExecProgram {
  std::string path;               // Absolute.
  std::vector<std::string> argv;  // As the sweep file has it.
  // All of it.
  std::map<std::string, std::string> environment;
};

// Finds the program of `spec` in `folder` ("./x"), by its absolute path, or in
// PATH ("python3").
//
// Errors: INVALID_ARGUMENT naming the program and where it was looked for.
// `device` is the daemon's name of what it gets. REQUIRES: spec.threads is set.
absl::StatusOr<ExecProgram> FindExecProgram(const v1::AttemptSpec& spec,
                                            const std::string& device,
                                            const std::string& folder);

// Writes config.json, the sweep file's `config`, into the folder.
absl::Status WriteExecConfig(const v1::ExecSpec& exec,
                             const std::string& folder);

// The program in messages: the program "python3 train.py".
std::string DescribeExec(const v1::ExecSpec& exec);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_EXEC_PROGRAM_H_
