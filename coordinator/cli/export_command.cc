// export.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/export.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/progress.h"

namespace foldfarm {
namespace {

struct ExportCommandOptions {
  std::string sweep;
  std::string to;
  std::string out;
  std::string model;
};

// At most so many jobs are named; `foldfarm jobs` lists all.
constexpr size_t kMaxNamed = 12;

std::string Names(std::vector<std::string> names) {
  const size_t count = names.size();
  if (count > kMaxNamed) {
    names.resize(kMaxNamed);
    names.push_back(absl::StrCat("and ", count - kMaxNamed, " more"));
  }
  return absl::StrJoin(names, ", ");
}

absl::StatusOr<int> Export(CommandContext& context,
                           const ExportCommandOptions& options) {
  FarmClient client(context.coordinator);
  InterruptScope interrupt;
  absl::StatusOr<ExportReport> report;
  {
    Progress progress(context.console, context.clock, "Fetching",
                      ProgressUnit::kBytes);
    ExportOptions to_export;
    to_export.sweep = options.sweep;
    to_export.directory = options.out;
    if (!options.model.empty()) to_export.models = {options.model};
    to_export.cancelled = &InterruptScope::Interrupted;
    to_export.progress = [&](int64_t done, int64_t total) {
      progress.Update(done, total);
    };
    report = ExportModels(client, to_export);
  }
  if (absl::IsCancelled(report.status())) {
    return absl::CancelledError(
        "Stopped; the same command fetches what is missing.");
  }
  if (!report.ok()) return report.status();
  if (!report->unfinished.empty()) {
    context.console.Warn(absl::StrCat("no result, hence not exported: ",
                                      Names(report->unfinished)));
  }
  if (!report->without_files.empty()) {
    context.console.Warn(absl::StrCat("their results hold predictions only: ",
                                      Names(report->without_files)));
  }
  if (report->files == 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "nothing of ", options.sweep,
        " could be exported; see foldfarm status ", options.sweep));
  }
  context.console.Note(absl::StrCat(
      "Exported ", FormatPlural(report->jobs, "job"), " to ", options.out, ": ",
      FormatPlural(report->files, "file"), ", ", FormatBytes(report->bytes),
      report->kept > 0
          ? absl::StrCat(" (", report->kept, " were there already)")
          : ""));
  return kExitDone;
}

}  // namespace

void AddExportCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<ExportCommandOptions>(
      app, invocation, "export",
      "Fetch the models of a sweep as files that other programs load",
      "foldfarm export s3 --to safetensors --out models/", Export);
  command->add_option("SWEEP", options->sweep, "Id or name of the sweep")
      ->type_name("")
      ->required();
  command
      ->add_option("--to", options->to,
                   "safetensors: OUT/MODEL/FOLD.safetensors, with the names "
                   "of PyTorch and timm; trees as XGBoost saves them")
      ->type_name("safetensors")
      ->check(CLI::IsMember({"safetensors"}).description(""))
      ->required();
  command->add_option("--out", options->out, "Folder to write")
      ->type_name("DIR")
      ->required();
  command->add_option("--model", options->model, "Only this model")
      ->type_name("NAME");
}

}  // namespace foldfarm
