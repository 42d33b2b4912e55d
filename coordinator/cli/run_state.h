// What `foldfarm run` remembers in its folder, so that the same command goes on
// where it was: OUT/run.json.
//
// Written before what it announces is done: whoever was killed in between finds
// the request id with which a sweep may have been submitted, and submitting
// with it again is harmless.
#ifndef FOLDFARM_COORDINATOR_CLI_RUN_STATE_H_
#define FOLDFARM_COORDINATOR_CLI_RUN_STATE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

struct RunState {
  // The folder that was imported, what it held, and what became of it.
  std::string data_directory;
  std::string data_fingerprint;
  std::string dataset;
  // What was submitted, and as which request.
  std::string sweep_digest;
  std::string request_id;
  // The sweep that this became; empty until the coordinator has answered.
  std::string sweep;
  // The one before, which is to be cancelled as soon as there is `sweep`;
  // empty: none, or done.
  std::string former_sweep;
};

// An empty state when there is no such file. Errors: INVALID_ARGUMENT naming
// the file when it is malformed.
absl::StatusOr<RunState> LoadRunState(const std::string& path);
absl::Status SaveRunState(const std::string& path, const RunState& state);

// Equal for equal sweeps on equal data.
std::string SweepDigest(const v1::SweepSpec& spec, const std::string& dataset);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_RUN_STATE_H_
