#include "coordinator/cli/worker_commands.h"

#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/format.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
using Align = Column::Align;

// For how long the worker has been there. Of one that is held in quarantine the
// coordinator does not say whether it runs, so its last word counts.
std::string UpTime(const v1::Worker& worker, absl::Time now) {
  if (worker.state() == v1::Worker::OFFLINE) return "-";
  if (worker.state() == v1::Worker::QUARANTINED) {
    now = ToTime(worker.last_heartbeat_time());
  }
  return HumanDuration(now - ToTime(worker.start_time()));
}

absl::StatusOr<int> Workers(CommandContext& context, const std::monostate&) {
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListWorkersResponse reply,
                            client.Call(&Farm::ListWorkers, {}));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t width, bool colour) {
    if (reply.workers().empty()) {
      return absl::StrCat(
          "No workers. Start one: foldfarm-worker --coordinator ",
          context.coordinator, "\n");
    }
    Table table({{"WORKER", Align::kLeft, true},
                 {"STATE"},
                 {"SLOTS", Align::kRight},
                 {"HOST", Align::kLeft, true, 8, true},
                 {"DEVICES", Align::kLeft, true},
                 {"CPUS", Align::kRight, false, 0, true},
                 {"MEMORY", Align::kRight, false, 0, true},
                 {"HEARTBEAT"},
                 {"UP", Align::kRight, false, 0, true},
                 {"STOPS", Align::kLeft, false, 0, true},
                 {"EXEC", Align::kLeft, false, 0, true},
                 {"JOBS", Align::kLeft, true, 16, true}});
    const absl::Time now = context.clock.Now();
    std::string reasons;
    for (const v1::Worker& worker : reply.workers()) {
      const bool busy = worker.busy_slots() > 0;
      table.AddRow(
          {worker.name(), StateCell(worker.state()),
           absl::StrCat(worker.busy_slots(), "/", worker.slots()),
           worker.host(), absl::StrJoin(worker.devices(), ", "),
           busy ? absl::StrFormat("%.1f", worker.cpus()) : "-",
           worker.memory_bytes() > 0 ? FormatBytes(worker.memory_bytes()) : "-",
           FormatRelative(ToTime(worker.last_heartbeat_time()), now),
           UpTime(worker, now),
           worker.has_stop_time()
               ? FormatRelative(ToTime(worker.stop_time()), now)
               : "-",
           worker.allow_exec() ? "allowed" : "-",
           absl::StrJoin(worker.jobs(), " ")});
      if (worker.state_reason().empty()) continue;
      absl::StrAppend(
          &reasons, worker.name(), " is ",
          Paint(StateName(worker.state()), StateStyle(worker.state()), colour),
          ": ", worker.state_reason(), "\n");
      if (worker.state() == v1::Worker::QUARANTINED) {
        absl::StrAppend(&reasons, "  mended? foldfarm undrain ", worker.name(),
                        "\n");
      }
    }
    return absl::StrCat(table.Render(width, colour),
                        reasons.empty() ? "" : "\n", reasons);
  }));
  return kExitDone;
}

struct DrainOptions {
  std::string worker;
  std::string reason;
};

absl::StatusOr<int> Drain(CommandContext& context,
                          const DrainOptions& options) {
  v1::DrainWorkerRequest request;
  request.set_worker(options.worker);
  request.set_reason(options.reason);
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Worker reply,
                            client.Call(&Farm::DrainWorker, request));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t, bool) {
    const int jobs = reply.jobs_size();
    return absl::StrCat(
        reply.name(), " gets no more jobs",
        jobs == 0 ? ""
        : jobs == 1
            ? "; the job that it runs leaves a checkpoint and goes back "
              "to the farm, uncharged"
            : absl::StrCat("; the ", jobs,
                           " jobs that it runs leave a checkpoint and "
                           "go back to the farm, uncharged"),
        ". foldfarm undrain ", reply.name(), " ends this.\n");
  }));
  return kExitDone;
}

absl::StatusOr<int> Undrain(CommandContext& context,
                            const DrainOptions& options) {
  v1::UndrainWorkerRequest request;
  request.set_worker(options.worker);
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Worker reply,
                            client.Call(&Farm::UndrainWorker, request));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t, bool) {
    return absl::StrCat(reply.name(), " is ", StateName(reply.state()),
                        reply.state() == v1::Worker::ONLINE
                            ? " and gets jobs again.\n"
                            : "; it gets jobs when it is online.\n");
  }));
  return kExitDone;
}

void AddWorkerArgument(CLI::App& command, std::string& worker) {
  command.add_option("WORKER", worker, "Name of the worker")
      ->type_name("")
      ->required();
}

}  // namespace

void AddWorkerCommands(CLI::App& app, Invocation& invocation) {
  AddCommand<std::monostate>(app, invocation, "workers", "List workers",
                             "foldfarm workers", Workers);
  {
    auto [command, options] = AddCommand<DrainOptions>(
        app, invocation, "drain",
        "Take jobs away from a worker and give it no more, also after restarts",
        "foldfarm drain gpu3 --reason 'new fans on Friday'", Drain);
    AddWorkerArgument(*command, options->worker);
    command
        ->add_option("--reason", options->reason, "For people who wonder later")
        ->type_name("TEXT");
  }
  {
    auto [command, options] = AddCommand<DrainOptions>(
        app, invocation, "undrain", "End a worker's drain or its quarantine",
        "foldfarm undrain gpu3", Undrain);
    AddWorkerArgument(*command, options->worker);
  }
}

}  // namespace foldfarm
