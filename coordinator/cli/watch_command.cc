#include "coordinator/cli/watch_command.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"

namespace foldfarm {
namespace {

struct WatchOptions {
  std::string sweep;
};

absl::StatusOr<int> Watch(CommandContext& context,
                          const WatchOptions& options) {
  FarmClient client(context.coordinator);
  const bool json = context.format == OutputFormat::kJson;
  const absl::StatusOr<int> end =
      WatchToTheEnd(context, client, options.sweep,
                    json ? SweepWatcher::ToErr(context.console)
                         : SweepWatcher::ToOut(context.console));
  if (!end.ok() || !json) return end;
  v1::GetSweepRequest request;
  request.set_sweep(options.sweep);
  FOLDFARM_ASSIGN_OR_RETURN(
      const v1::Sweep sweep,
      client.Call(&v1::FarmService::StubInterface::GetSweep, request));
  FOLDFARM_RETURN_IF_ERROR(
      context.Show(sweep, [](size_t, bool) { return ""; }));
  return end;
}

}  // namespace

absl::StatusOr<int> WatchToTheEnd(CommandContext& context, FarmClient& client,
                                  const std::string& sweep,
                                  SweepWatcher::Target target) {
  InterruptScope interrupt;
  v1::Sweep last;
  {
    // Gone, and with it the picture, before anything else is said.
    SweepWatcher watcher(client, sweep, context.clock, target);
    while (!watcher.Tick(absl::Milliseconds(200))) {
      if (InterruptScope::Interrupted()) {
        return absl::CancelledError(absl::StrCat(
            "Stopped watching; the sweep goes on. Watch it again with: "
            "foldfarm watch ",
            sweep, "; cancel it with: foldfarm cancel ", sweep));
      }
    }
    FOLDFARM_RETURN_IF_ERROR(watcher.result());
    last = watcher.sweep();
  }
  if (last.state() == v1::Sweep::SUCCEEDED) return kExitDone;
  context.console.Warn(absl::StrCat(
      last.id(), " ", StateName(last.state()), ": ",
      FormatPlural(last.failed(), "job"), " failed, ", last.cancelled(),
      " cancelled; see foldfarm status ", last.id()));
  return kExitFailed;
}

void AddWatchCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<WatchOptions>(
      app, invocation, "watch",
      "Follow a sweep until all its jobs are final; exit 0 if all succeeded",
      "foldfarm watch s3", Watch);
  command->add_option("SWEEP", options->sweep, "Id or name of the sweep")
      ->type_name("")
      ->required();
}

}  // namespace foldfarm
