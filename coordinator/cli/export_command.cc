// export.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/export.h"
#include "coordinator/cli/export_results.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/json_summary.h"
#include "coordinator/cli/progress.h"

namespace foldfarm {
namespace {

using Json = nlohmann::ordered_json;

// The formats of --to.
constexpr char kSafetensors[] = "safetensors";
constexpr char kCsv[] = "csv";
constexpr char kNpy[] = "npy";
constexpr char kTensorBoard[] = "tensorboard";

struct ExportCommandOptions {
  std::string sweep;
  std::vector<std::string> to;
  std::string out;
  std::string model;

  bool Wants(absl::string_view format) const {
    return std::find(to.begin(), to.end(), format) != to.end();
  }
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

absl::Status Nothing(const std::string& sweep) {
  return absl::FailedPreconditionError(absl::StrCat(
      "nothing of ", sweep, " could be exported; see foldfarm status ", sweep));
}

// What was written is added to `summary`.
absl::Status ExportWeights(CommandContext& context, FarmClient& client,
                           const ExportCommandOptions& options, Json& summary) {
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
  if (!report.ok()) return report.status();
  if (!report->unfinished.empty()) {
    context.console.Warn(absl::StrCat("no result, hence not exported: ",
                                      Names(report->unfinished)));
  }
  if (!report->without_files.empty()) {
    context.console.Warn(absl::StrCat("their results hold predictions only: ",
                                      Names(report->without_files)));
  }
  if (!report->removed.empty()) {
    context.console.Note(absl::StrCat(
        "Removed ",
        FormatPlural(static_cast<int64_t>(report->removed.size()), "file"),
        " of an earlier export that this one does not have: ",
        Names(report->removed)));
  }
  if (report->files == 0) return Nothing(options.sweep);
  context.console.Note(absl::StrCat(
      "Exported ", FormatPlural(report->jobs, "job"), " to ", options.out, ": ",
      FormatPlural(report->files, "file"), ", ", FormatBytes(report->bytes),
      report->kept > 0
          ? absl::StrCat(" (", report->kept, " were there already)")
          : ""));
  summary["formats"].push_back({{"format", kSafetensors},
                                {"files", report->files},
                                {"bytes", report->bytes},
                                {"jobs", report->jobs},
                                {"kept", report->kept},
                                {"removed", report->removed}});
  summary["unfinished"] = report->unfinished;
  summary["withoutFiles"] = report->without_files;
  return absl::OkStatus();
}

// Predictions and metrics, in every format that was asked for.
absl::Status ExportResults(CommandContext& context, FarmClient& client,
                           const ExportCommandOptions& options, Json& summary) {
  absl::StatusOr<SweepResults> results;
  {
    Progress progress(context.console, context.clock, "Fetching predictions",
                      ProgressUnit::kBytes);
    ResultOptions to_fetch;
    to_fetch.sweep = options.sweep;
    to_fetch.model = options.model;
    to_fetch.draws = options.Wants(kCsv) || options.Wants(kNpy);
    to_fetch.cancelled = &InterruptScope::Interrupted;
    to_fetch.progress = [&](int64_t done, int64_t total) {
      progress.Update(done, total);
    };
    results = FetchResults(client, to_fetch);
  }
  FOLDFARM_RETURN_IF_ERROR(results.status());
  const bool predictions = options.Wants(kCsv) || options.Wants(kNpy);
  if (predictions && !results->incomplete.empty()) {
    context.console.Warn(
        absl::StrCat("not complete on all folds, hence without out-of-fold "
                     "predictions: ",
                     Names(results->incomplete)));
  }
  if (predictions && !results->without_draws.empty()) {
    context.console.Warn(
        absl::StrCat("folds have unequally many draws, hence without single "
                     "draws: ",
                     Names(results->without_draws)));
  }
  std::vector<std::string> silent;
  for (const JobRecord& job : results->jobs) {
    if (job.metrics.epochs().empty()) {
      silent.push_back(job.details.job().name());
    }
  }
  if (!silent.empty()) {
    context.console.Warn(
        absl::StrCat("without metrics of epochs: ", Names(silent)));
  }
  if (silent.size() == results->jobs.size() &&
      results->oof.oof.models.empty()) {
    return Nothing(options.sweep);
  }
  struct Format {
    const char* name;
    absl::Status (*write)(const SweepResults&, const std::string&,
                          WrittenFiles&);
  };
  for (const Format& format : {Format{kCsv, &WriteCsv}, Format{kNpy, &WriteNpy},
                               Format{kTensorBoard, &WriteTensorBoard}}) {
    if (!options.Wants(format.name)) continue;
    if (InterruptScope::Interrupted()) return absl::CancelledError("Stopped.");
    WrittenFiles written;
    FOLDFARM_RETURN_IF_ERROR(format.write(*results, options.out, written));
    context.console.Note(absl::StrCat(
        "Exported ", format.name, " to ", options.out, ": ",
        FormatPlural(written.files, "file"), ", ", FormatBytes(written.bytes)));
    summary["formats"].push_back({{"format", format.name},
                                  {"files", written.files},
                                  {"bytes", written.bytes}});
  }
  if (options.Wants(kTensorBoard)) {
    context.console.Note(absl::StrCat("Look at it with: tensorboard --logdir ",
                                      ShellWord(options.out)));
  }
  if (predictions) summary["incomplete"] = results->incomplete;
  summary["withoutMetrics"] = silent;
  return absl::OkStatus();
}

// Before anything is fetched: files that somebody else wrote stay as they are.
// ExportModels looks after its own.
absl::Status CheckResultFiles(const ExportCommandOptions& options) {
  std::vector<std::string> names;
  if (options.Wants(kCsv)) {
    names = {"oof.csv", "oof_draws.csv", "metrics.csv", "results.csv"};
  }
  if (options.Wants(kNpy)) names.push_back(kNpyIndexFile);
  return CheckReplaceable(options.out, names);
}

absl::StatusOr<int> Export(CommandContext& context,
                           const ExportCommandOptions& options) {
  FOLDFARM_RETURN_IF_ERROR(CheckResultFiles(options));
  FarmClient client(context.coordinator);
  InterruptScope interrupt;
  Json summary = {{"sweep", options.sweep},
                  {"folder", options.out},
                  {"formats", Json::array()}};
  absl::Status status;
  if (options.Wants(kSafetensors)) {
    status = ExportWeights(context, client, options, summary);
  }
  if (status.ok() && (options.Wants(kCsv) || options.Wants(kNpy) ||
                      options.Wants(kTensorBoard))) {
    status = ExportResults(context, client, options, summary);
  }
  if (absl::IsCancelled(status)) {
    return absl::CancelledError(
        "Stopped; the same command fetches what is missing.");
  }
  FOLDFARM_RETURN_IF_ERROR(status);
  PrintSummary(context, summary);
  return kExitDone;
}

}  // namespace

void AddExportCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<ExportCommandOptions>(
      app, invocation, "export",
      "Write a sweep's models, predictions and metrics as files that other\n"
      "programs load",
      "foldfarm export s3 --to safetensors,csv --out results/\n"
      "  foldfarm export s3 --to tensorboard --out runs/",
      Export);
  command->add_option("SWEEP", options->sweep, "Id or name of the sweep")
      ->type_name("")
      ->required();
  command
      ->add_option(
          "--to", options->to,
          "Formats, separated by commas:\n"
          "safetensors: weights, OUT/MODEL/FOLD.safetensors, with the names of "
          "PyTorch and timm; trees as XGBoost saves them\n"
          "csv: oof.csv, oof_draws.csv, metrics.csv, results.csv\n"
          "npy: the same as NumPy's arrays; npy.json names their axes\n"
          "tensorboard: event files, OUT/MODEL/FOLD/events.out.tfevents.*")
      ->type_name("safetensors|csv|npy|tensorboard,...")
      ->delimiter(',')
      ->check(CLI::IsMember({kSafetensors, kCsv, kNpy, kTensorBoard})
                  .description(""))
      ->required();
  command->add_option("--out", options->out, "Folder to write")
      ->type_name("DIR")
      ->required();
  command->add_option("--model", options->model, "Only this model")
      ->type_name("NAME");
}

}  // namespace foldfarm
