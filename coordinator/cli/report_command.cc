#include "coordinator/cli/report_command.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/option_checks.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/json_summary.h"
#include "coordinator/cli/output_file.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/report.h"
#include "coordinator/cli/report_sections.h"

namespace foldfarm {
namespace {

struct ReportCommandOptions {
  std::string sweep;
  std::string out;
  int worst = 12;
  bool no_spectra = false;
};

absl::StatusOr<int> Report(CommandContext& context,
                           const ReportCommandOptions& options) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string file,
                            FindOutputFile(options.out));
  FarmClient client(context.coordinator);
  InterruptScope interrupt;
  absl::StatusOr<ReportData> data;
  {
    Progress progress(context.console, context.clock, "Fetching spectra",
                      ProgressUnit::kBytes);
    ReportOptions to_fetch;
    to_fetch.sweep = options.sweep;
    to_fetch.worst = options.worst;
    to_fetch.spectra = !options.no_spectra;
    to_fetch.cancelled = &InterruptScope::Interrupted;
    to_fetch.progress = [&](int64_t done, int64_t total) {
      progress.Update(done, total);
    };
    data = FetchReport(client, context.clock, to_fetch);
  }
  if (absl::IsCancelled(data.status())) {
    return absl::CancelledError("Stopped; nothing was written.");
  }
  FOLDFARM_RETURN_IF_ERROR(data.status());
  const std::string html = ReportHtml(*data);
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(file, html));
  const std::vector<std::string> left_out = LeftOut(*data);
  for (const std::string& what : left_out) {
    context.console.Warn(absl::StrCat("left out: ", what));
  }
  const v1::GetEnsembleResponse& ensemble = data->ensemble;
  context.console.Note(absl::StrCat(
      "Wrote ", options.out, " (",
      FormatBytes(static_cast<int64_t>(html.size())),
      "): ", data->preliminary() ? "preliminary, " : "",
      ensemble.models().empty()
          ? "no model is complete"
          : absl::StrCat(
                "ensemble of ", ensemble.models_size(), ", log loss ",
                FormatScore(ensemble.ensemble().log_loss_shrink_0002()))));
  nlohmann::ordered_json summary = {{"sweep", options.sweep},
                                    {"file", options.out},
                                    {"bytes", html.size()},
                                    {"preliminary", data->preliminary()},
                                    {"models", ensemble.models_size()},
                                    {"logLoss", nullptr},
                                    {"leftOut", left_out}};
  if (!ensemble.models().empty()) {
    summary["logLoss"] = ensemble.ensemble().log_loss_shrink_0002();
  }
  PrintSummary(context, summary);
  return kExitDone;
}

}  // namespace

void AddReportCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<ReportCommandOptions>(
      app, invocation, "report",
      "Write a sweep's report: one HTML file with scores, growth, curves,\n"
      "calibration, the worst samples, failures and the configuration",
      "foldfarm report s3 --out report.html", Report);
  command->add_option("SWEEP", options->sweep, "Id or name of the sweep")
      ->type_name("")
      ->required();
  command->add_option("--out", options->out, "The file to write")
      ->type_name("F.html")
      ->required();
  command
      ->add_option("--worst", options->worst,
                   "So many of the worst samples are shown")
      ->type_name("N")
      ->check(InRange(0, 200))
      ->capture_default_str();
  command->add_flag("--no-spectra", options->no_spectra,
                    "Without the worst samples' spectra, for which the dataset "
                    "is fetched");
}

}  // namespace foldfarm
