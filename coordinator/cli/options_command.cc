// options.
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/sweep/sweep.h"
#include "coordinator/cli/command.h"

namespace foldfarm {
namespace {

struct OptionsOptions {
  std::string update;
};

absl::StatusOr<int> Options(CommandContext& context,
                            const OptionsOptions& options) {
  if (context.format == OutputFormat::kJson) {
    context.console.Error(
        "options come as Markdown only, not as JSON; leave out -o json");
    return kExitUsage;
  }
  if (options.update.empty()) {
    *context.console.out << DescribeOptions() << std::flush;
    return kExitDone;
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string page, ReadFile(options.update));
  const absl::StatusOr<std::string> updated = UpdateOptionsPage(page);
  if (!updated.ok()) return Annotate(updated.status(), options.update);
  if (*updated == page) {
    context.console.Note(absl::StrCat(options.update, " is up to date"));
    return kExitDone;
  }
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(options.update, *updated));
  context.console.Note(absl::StrCat("Wrote ", options.update));
  return kExitDone;
}

}  // namespace

void AddOptionsCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<OptionsOptions>(
      app, invocation, "options",
      "Print all options of the sweep file as Markdown",
      "foldfarm options | less", Options);
  command
      ->add_option("--update", options->update,
                   "Write them into this page instead, between its two "
                   "marking comments")
      ->type_name("FILE.md");
}

}  // namespace foldfarm
