// oof.
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/json_summary.h"
#include "coordinator/cli/output_file.h"
#include "coordinator/cli/results.h"

namespace foldfarm {
namespace {

struct OofOptions {
  std::string sweep;
  std::string out;
};

absl::StatusOr<int> Oof(CommandContext& context, const OofOptions& options) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string file,
                            FindOutputFile(options.out));
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const int64_t rows,
                            WriteOof(client, options.sweep, file));
  context.console.Note(
      absl::StrCat("Wrote ", FormatPlural(rows, "row"), " to ", options.out));
  PrintSummary(
      context,
      {{"sweep", options.sweep}, {"file", options.out}, {"rows", rows}});
  return kExitDone;
}

}  // namespace

void AddResultCommands(CLI::App& app, Invocation& invocation) {
  {
    auto [command, options] = AddCommand<OofOptions>(
        app, invocation, "oof",
        "Write the out-of-fold predictions of a sweep's complete models as CSV",
        "foldfarm oof s3 --out oof.csv", Oof);
    command->add_option("SWEEP", options->sweep, "Id or name of the sweep")
        ->type_name("")
        ->required();
    command->add_option("--out", options->out, "The file to write")
        ->type_name("F.csv")
        ->required();
  }
}

}  // namespace foldfarm
