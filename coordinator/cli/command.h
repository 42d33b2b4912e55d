// How a command is declared.
//
// A group of commands is a file with one function Add...Commands: it declares
// subcommands and their options on the parser. Parsing a command line fills in
// `Invocation::action`; RunCli calls it once the line as a whole is legal.
//
// The type name of an option, or the name of an argument without one, stands in
// --help and tells the shell what to complete: see completion.h.
#ifndef FOLDFARM_COORDINATOR_CLI_COMMAND_H_
#define FOLDFARM_COORDINATOR_CLI_COMMAND_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "coordinator/cli/command_context.h"

namespace foldfarm {

// Declares a subcommand whose options live in an `Options` of its own; `run`
// is called as run(context, options). The example is the last part of --help.
template <typename Options, typename Run>
std::pair<CLI::App*, std::shared_ptr<Options>> AddCommand(
    CLI::App& parent, Invocation& invocation, const std::string& name,
    const std::string& description, const std::string& example, Run run) {
  CLI::App* command = parent.add_subcommand(name, description);
  command->footer("Example:\n  " + example +
                  "\n\nEvery command takes --coordinator, -o and --no-color; "
                  "see foldfarm --help.");
  auto options = std::make_shared<Options>();
  command->callback([&invocation, options, run] {
    invocation.action = [options, run](CommandContext& context) {
      return absl::StatusOr<int>(run(context, *options));
    };
  });
  return {command, options};
}

void AddBundleCommand(CLI::App& app, Invocation& invocation);
void AddCompletionCommand(CLI::App& app, Invocation& invocation);
void AddDatasetCommands(CLI::App& app, Invocation& invocation);
void AddSweepCommands(CLI::App& app, Invocation& invocation);
void AddControlCommands(CLI::App& app, Invocation& invocation);
void AddSubmitCommand(CLI::App& app, Invocation& invocation);
void AddWeightsCommands(CLI::App& app, Invocation& invocation);
void AddEnsembleCommand(CLI::App& app, Invocation& invocation);
void AddExplainCommand(CLI::App& app, Invocation& invocation);
void AddExportCommand(CLI::App& app, Invocation& invocation);
void AddOptionsCommand(CLI::App& app, Invocation& invocation);
void AddJobCommands(CLI::App& app, Invocation& invocation);
void AddWatchCommand(CLI::App& app, Invocation& invocation);
void AddResultCommands(CLI::App& app, Invocation& invocation);
void AddPredictCommand(CLI::App& app, Invocation& invocation);
void AddRenderCommand(CLI::App& app, Invocation& invocation);
void AddUpkeepCommands(CLI::App& app, Invocation& invocation);
void AddRunCommands(CLI::App& app, Invocation& invocation);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_COMMAND_H_
