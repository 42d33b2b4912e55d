// The one way a command shows its result: as a table for people or as JSON for
// programs.
//
// JSON is one document on stdout, the proto3 JSON of the reply: lowerCamelCase
// names, enum values by name, numbers present even when zero.
#ifndef FOLDFARM_COORDINATOR_CLI_OUTPUT_H_
#define FOLDFARM_COORDINATOR_CLI_OUTPUT_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/cli/console.h"
#include "coordinator/cli/table.h"
#include "foldfarm/v1/farm.pb.h"
#include "foldfarm/v1/job.pb.h"
#include "google/protobuf/message.h"

namespace foldfarm {

enum class OutputFormat { kTable, kJson };

// Proto3 JSON, indented, with a line break at the end.
// Errors: INTERNAL if the message cannot be written as JSON.
absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message);

// Shows `reply` on stdout: its JSON, or what `text` returns for the terminal's
// width (0: unlimited) and colour.
absl::Status Show(
    const Console& console, OutputFormat format,
    const google::protobuf::Message& reply,
    absl::FunctionRef<std::string(size_t width, bool colour)> text);

// "running", and how it looks.
std::string StateName(v1::Job::State state);
std::string StateName(v1::Sweep::State state);
std::string StateName(v1::Attempt::State state);
std::string StateName(v1::Worker::State state);
Style StateStyle(v1::Job::State state);
Style StateStyle(v1::Sweep::State state);
Style StateStyle(v1::Attempt::State state);
Style StateStyle(v1::Worker::State state);
template <typename State>
Cell StateCell(State state) {
  return Cell(StateName(state), StateStyle(state));
}

// A job's state by its name in any case, e.g. "running".
// Errors: INVALID_ARGUMENT listing the names.
absl::StatusOr<v1::Job::State> ParseJobState(absl::string_view name);

// "title" in bold, for a block of output.
std::string Heading(absl::string_view title, bool colour);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_OUTPUT_H_
