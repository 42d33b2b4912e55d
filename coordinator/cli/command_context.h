// What every command gets and gives, without the parser of command lines.
#ifndef FOLDFARM_COORDINATOR_CLI_COMMAND_CONTEXT_H_
#define FOLDFARM_COORDINATOR_CLI_COMMAND_CONTEXT_H_

#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "coordinator/cli/console.h"
#include "coordinator/cli/farm_client.h"
#include "coordinator/cli/output.h"

// CLI11's; only who declares options needs all of it, which takes seconds to
// compile.
namespace CLI {
class App;
}  // namespace CLI

namespace foldfarm {

// Exit statuses of `foldfarm`.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitUnreachable = 3;
inline constexpr int kExitInterrupted = 130;

struct CommandContext {
  const Console& console;
  OutputFormat format;
  // HOST:PORT of --coordinator.
  std::string coordinator;
  Clock& clock;

  // Shows a reply; see output.h.
  absl::Status Show(const google::protobuf::Message& reply,
                    absl::FunctionRef<std::string(size_t, bool)> text) const {
    return foldfarm::Show(console, format, reply, text);
  }
};

// The exit status, or why the command failed: UNAVAILABLE exits with
// kExitUnreachable unless the coordinator itself said so (IsAnswer), CANCELLED
// with kExitInterrupted, others with kExitFailed.
using Action = std::function<absl::StatusOr<int>(CommandContext&)>;

struct Invocation {
  Action action;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_COMMAND_CONTEXT_H_
