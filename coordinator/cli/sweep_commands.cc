// sweeps, status.
#include <variant>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/status_text.h"
#include "coordinator/cli/sweep_summary.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
using Align = Column::Align;

std::string DoneText(const v1::Sweep& sweep) {
  const int done = sweep.succeeded() + sweep.failed() + sweep.cancelled();
  return absl::StrCat(done, "/", done + sweep.running() + sweep.pending());
}

absl::StatusOr<int> Sweeps(CommandContext& context, const std::monostate&) {
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListSweepsResponse reply,
                            client.Call(&Farm::ListSweeps, {}));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t width, bool colour) {
    if (reply.sweeps().empty()) {
      return std::string(
          "No sweeps. Submit one: foldfarm submit SWEEP.yaml --dataset NAME\n");
    }
    std::vector<Column> columns = {{"SWEEP"},
                                   {"NAME", Align::kLeft, true},
                                   {"STATE"},
                                   {"DONE", Align::kRight},
                                   {"RUNNING", Align::kRight},
                                   {"FAILED", Align::kRight},
                                   {"DATASET", Align::kLeft, true, 8, true},
                                   {"PRIORITY", Align::kRight, false, 0, true},
                                   {"CREATED", Align::kLeft, false, 0, true},
                                   {"TOOK", Align::kRight, false, 0, true}};
    const bool has_notes =
        absl::c_any_of(reply.sweeps(),
                       [](const auto& sweep) { return !sweep.note().empty(); });
    if (has_notes) columns.push_back({"NOTE", Align::kLeft, true});
    Table table(columns);
    const absl::Time now = context.clock.Now();
    for (const v1::Sweep& sweep : reply.sweeps()) {
      const absl::Time created = ToTime(sweep.create_time());
      std::vector<Cell> row = {
          sweep.id(),
          sweep.name(),
          SweepStateCell(sweep),
          DoneText(sweep),
          absl::StrCat(sweep.running()),
          Cell(absl::StrCat(sweep.failed()),
               sweep.failed() > 0 ? Style::kBad : Style::kPlain),
          sweep.dataset(),
          absl::StrCat(sweep.priority()),
          FormatRelative(created, now),
          sweep.has_end_time()
              ? HumanDuration(ToTime(sweep.end_time()) - created)
              : "-"};
      if (has_notes) row.push_back(sweep.note());
      table.AddRow(std::move(row));
    }
    return table.Render(width, colour);
  }));
  return kExitDone;
}

struct TargetOptions {
  std::string target;
};

absl::StatusOr<int> Status(CommandContext& context,
                           const TargetOptions& options) {
  FarmClient client(context.coordinator);
  v1::GetSweepRequest request;
  request.set_sweep(options.target);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Sweep sweep,
                            client.Call(&Farm::GetSweep, request));
  StatusInput input;
  if (context.format == OutputFormat::kTable) {
    FOLDFARM_ASSIGN_OR_RETURN(input, GatherStatus(client, sweep));
  }
  FOLDFARM_RETURN_IF_ERROR(context.Show(sweep, [&](size_t width, bool colour) {
    return StatusText(input, context.clock.Now(), absl::LocalTimeZone(), width,
                      colour);
  }));
  return kExitDone;
}

}  // namespace

void AddSweepCommands(CLI::App& app, Invocation& invocation) {
  AddSubmitCommand(app, invocation);
  AddCommand<std::monostate>(app, invocation, "sweeps",
                             "List sweeps, newest first",
                             "foldfarm sweeps -o json", Sweeps);
  {
    auto [command, options] = AddCommand<TargetOptions>(
        app, invocation, "status",
        "Show a sweep: how far, how good, what is wrong, when it is done",
        "foldfarm status s3", Status);
    command->add_option("SWEEP", options->target, "Id or name of the sweep")
        ->type_name("")
        ->required();
  }
}

}  // namespace foldfarm
