// submit.
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/edit_distance.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/option_checks.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"
#include "common/sweep/schedule_advice.h"
#include "common/sweep/sweep.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/dry_run.h"
#include "coordinator/cli/extension.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/sweep_inputs.h"
#include "coordinator/cli/watch_command.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

// The labels of the competition: what a dry run without a dataset assumes.
constexpr int kDefaultLabels = 10;

struct SubmitOptions {
  std::string file;
  std::string extend;
  std::string name;
  std::string dataset;
  std::string trainer;
  std::vector<std::string> sets;
  std::optional<int> priority;
  bool wait = false;
  bool no_reuse = false;
  bool dry_run = false;
};

// Labels that a model names are labels of the dataset.
absl::Status CheckLabels(const v1::SweepSpec& spec,
                         const v1::Dataset& dataset) {
  std::vector<std::string> known;
  for (const v1::LabelPrevalence& label : dataset.labels()) {
    known.push_back(label.label());
  }
  std::vector<std::string> mistakes;
  const auto check = [&](const v1::ModelSpec& model, const char* option,
                         const std::string& label) {
    if (std::find(known.begin(), known.end(), label) != known.end()) return;
    const std::string near = Nearest(label, known);
    mistakes.push_back(absl::StrCat(
        "model '", model.name(), "': ", option, " has \"", label,
        "\", expected labels of dataset ", dataset.name(), ", ",
        absl::StrJoin(known, ", "),
        near.empty() ? "" : absl::StrCat(" (did you mean '", near, "'?)")));
  };
  for (const v1::ModelSpec& model : spec.models()) {
    for (const std::string& label : model.labels()) {
      check(model, "labels", label);
    }
    for (const auto& [label, weight] : model.train().positive_weights()) {
      check(model, "train.positive_weights", label);
    }
  }
  if (mistakes.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(mistakes, "\n"));
}

// Asks the coordinator what it would say to the sweep.
absl::Status Validate(CommandContext& context, FarmClient& client,
                      const SubmitOptions& options, const v1::SweepSpec& spec) {
  v1::SubmitSweepRequest request;
  request.set_validate_only(true);
  request.set_dataset(options.dataset);
  request.set_no_reuse(options.no_reuse);
  *request.mutable_spec() = spec;
  if (options.extend.empty()) {
    FOLDFARM_RETURN_IF_ERROR(
        NameSweepInputs(options.file, *request.mutable_spec()));
  }
  const auto reply = client.Call(&Farm::SubmitSweep, request);
  if (absl::IsCancelled(reply.status())) {
    return absl::CancelledError("Stopped; nothing was submitted.");
  }
  if (absl::IsPermissionDenied(reply.status())) {
    context.console.Note(absl::StrCat("Not checked against the farm: ",
                                      reply.status().message()));
    return absl::OkStatus();
  }
  FOLDFARM_RETURN_IF_ERROR(reply.status());
  if (reply->reused() > 0) {
    context.console.Note(absl::StrCat(reply->reused(), " of ",
                                      FormatPlural(reply->jobs(), "job"),
                                      " would be reused from earlier sweeps"));
  }
  return absl::OkStatus();
}

absl::StatusOr<int> DryRun(CommandContext& context,
                           const SubmitOptions& options,
                           const v1::SweepSpec& spec) {
  int num_labels = kDefaultLabels;
  if (!options.dataset.empty()) {
    FarmClient client(context.coordinator);
    v1::GetDatasetRequest request;
    request.set_name(options.dataset);
    FOLDFARM_ASSIGN_OR_RETURN(const v1::Dataset dataset,
                              client.Call(&Farm::GetDataset, request));
    FOLDFARM_RETURN_IF_ERROR(CheckLabels(spec, dataset));
    num_labels = dataset.labels_size();
    FOLDFARM_RETURN_IF_ERROR(Validate(context, client, options, spec));
  }
  const std::string trainer =
      options.trainer.empty() ? JoinPath(ProgramDirectory(), "foldfarm-trainer")
                              : options.trainer;
  absl::StatusOr<std::vector<ModelCost>> costs =
      AskForCosts(trainer, spec, num_labels);
  if (absl::IsNotFound(costs.status()) && options.trainer.empty()) {
    context.console.Note(
        absl::StrCat("There is no ", trainer,
                     ", which knows what networks cost; name one "
                     "with --trainer"));
    costs.emplace();
  }
  if (!costs.ok()) {
    const bool no_trainer =
        absl::IsNotFound(costs.status()) && !options.trainer.empty();
    return Annotate(costs.status(), no_trainer               ? "--trainer"
                                    : options.extend.empty() ? options.file
                                                             : options.extend);
  }
  if (context.format == OutputFormat::kJson) {
    *context.console.out << DryRunJson(spec, *costs) << std::flush;
  } else {
    const Console& console = context.console;
    const size_t width =
        console.out_is_terminal ? TerminalSizeOf(console.out_fd).columns : 0;
    *console.out << DryRunText(spec, *costs, width, console.out_colour)
                 << std::flush;
  }
  return kExitDone;
}

// Programs of users wait until a worker comes that allows them.
void WarnWithoutExecWorker(CommandContext& context, FarmClient& client,
                           const v1::SweepSpec& spec) {
  const std::vector<std::string> models = ExecModels(spec);
  if (models.empty()) return;
  const auto workers = client.Call(&Farm::ListWorkers, {});
  if (!workers.ok()) return;
  for (const v1::Worker& worker : workers->workers()) {
    if (worker.state() == v1::Worker::ONLINE && worker.allow_exec()) return;
  }
  context.console.Warn(absl::StrCat(
      "no worker online was started with --allow-exec; until one is, ",
      absl::StrJoin(models, ", "), " will wait"));
}

// The specification of a sweep that trains on from options.extend; its dataset
// is the one to use unless another is named.
absl::StatusOr<v1::SweepSpec> LoadExtension(CommandContext& context,
                                            SubmitOptions& options) {
  FarmClient client(context.coordinator);
  v1::GetSweepRequest request;
  request.set_sweep(options.extend);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Sweep source,
                            client.Call(&Farm::GetSweep, request));
  std::vector<v1::Job> jobs;
  if (source.cancelled() > 0) {
    v1::ListJobsRequest list;
    list.set_sweep(source.id());
    list.set_state(v1::Job::CANCELLED);
    FOLDFARM_ASSIGN_OR_RETURN(const v1::ListJobsResponse reply,
                              client.Call(&Farm::ListJobs, list));
    jobs.assign(reply.jobs().begin(), reply.jobs().end());
  }
  FOLDFARM_ASSIGN_OR_RETURN(
      Extension extension,
      ExtendSweep(source, jobs, options.sets, options.name));
  if (!extension.left_out.empty()) {
    context.console.Note(
        absl::StrCat("Left out: ", absl::StrJoin(extension.left_out, ", ")));
  }
  if (options.dataset.empty()) options.dataset = source.dataset();
  return std::move(extension.spec);
}

absl::StatusOr<int> Submit(CommandContext& context,
                           const SubmitOptions& given) {
  SubmitOptions options = given;
  v1::SubmitSweepRequest request;
  v1::SweepSpec& spec = *request.mutable_spec();
  const bool extends = !options.extend.empty();
  if (extends) {
    FOLDFARM_ASSIGN_OR_RETURN(spec, LoadExtension(context, options));
  } else {
    FOLDFARM_ASSIGN_OR_RETURN(spec, LoadSweepFile(options.file, options.sets));
    FOLDFARM_RETURN_IF_ERROR(CheckSweepInputs(options.file, spec));
    if (!options.name.empty()) spec.set_name(options.name);
  }
  FOLDFARM_RETURN_IF_ERROR(CheckSweepName(spec.name()));
  for (const std::string& advice : ScheduleAdvice(spec)) {
    context.console.Warn(advice);
  }
  if (options.priority) spec.set_priority(*options.priority);
  if (options.dry_run) return DryRun(context, options, spec);

  FarmClient client(context.coordinator);
  // An extension's files are stored already.
  if (!extends) {
    InterruptScope interrupt;
    const absl::Status uploaded = UploadSweepInputs(
        context.console, context.clock, client, options.file, spec);
    if (absl::IsCancelled(uploaded)) {
      return absl::CancelledError("Stopped; nothing was submitted.");
    }
    FOLDFARM_RETURN_IF_ERROR(uploaded);
  }
  request.set_request_id(NewRandomId());
  request.set_dataset(options.dataset);
  request.set_no_reuse(options.no_reuse);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::SubmitSweepResponse reply,
                            client.Call(&Farm::SubmitSweep, request));
  // The id alone on stdout, for $(foldfarm submit ...).
  FOLDFARM_RETURN_IF_ERROR(context.Show(
      reply, [&](size_t, bool) { return absl::StrCat(reply.sweep(), "\n"); }));
  context.console.Note(absl::StrCat(
      spec.name(), ": ", FormatPlural(reply.jobs(), "job"),
      reply.reused() > 0
          ? absl::StrCat(", ", reply.reused(), " reused from earlier sweeps")
          : ""));
  WarnWithoutExecWorker(context, client, spec);
  if (!options.wait) {
    context.console.Note(
        absl::StrCat("Follow it with: foldfarm watch ", reply.sweep()));
    return kExitDone;
  }
  return WatchToTheEnd(context, client, reply.sweep(),
                       SweepWatcher::ToErr(context.console));
}

}  // namespace

void AddSubmitCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<SubmitOptions>(
      app, invocation, "submit",
      "Submit a sweep: every model once per fold. Prints the sweep's id.",
      "foldfarm submit mars.yaml --dataset mars --wait\n"
      "  foldfarm submit mars.yaml --dry-run --set train.epochs=1\n"
      "  foldfarm submit --extend s3 --set train.epochs=2000 --name longer",
      Submit);
  CLI::Option* file =
      command->add_option("SWEEP.yaml", options->file, "The sweep file")
          ->type_name("");
  CLI::Option* extend =
      command
          ->add_option("--extend", options->extend,
                       "Instead of a file: train on from the checkpoints of "
                       "this finished sweep, with its options and --set. More "
                       "epochs (of trees: rounds) are needed; dataset, folds, "
                       "labels, architectures and seeds stay")
          ->type_name("SWEEP");
  command
      ->add_option("--name", options->name,
                   "Name of the sweep, instead of the file's; with --extend "
                   "the default is NAME-extended")
      ->type_name("NAME");
  CLI::Option* dataset =
      command->add_option("--dataset", options->dataset, "Name of the dataset")
          ->type_name("NAME");
  AddSetOption(*command, options->sets);
  command->add_flag("--dry-run", options->dry_run,
                    "Check the file and list the jobs with their parameters, "
                    "multiply-adds and estimated memory; submit nothing. With "
                    "--dataset or --extend the coordinator checks it, too");
  command
      ->add_option("--trainer", options->trainer,
                   "With --dry-run: the program that knows what networks "
                   "cost (default: foldfarm-trainer beside this one)")
      ->type_name("PROGRAM");
  command
      ->add_option(
          "--priority", options->priority,
          "-1000 to 1000, larger is served first; instead of the file's")
      ->type_name("P")
      ->check(InRange(-1000, 1000));
  command->add_flag("--wait", options->wait,
                    "Watch until all jobs are final; exit 1 unless all "
                    "succeeded");
  command->add_flag("--no-reuse", options->no_reuse,
                    "Train again even what has a result already");
  command->parse_complete_callback([options = options, dataset, file, extend] {
    const bool extends = extend->count() > 0;
    if (!extends && file->count() == 0) {
      throw CLI::RequiredError("SWEEP.yaml or --extend");
    }
    if (extends && file->count() > 0) {
      throw CLI::ExcludesError("--extend", "SWEEP.yaml");
    }
    if (dataset->count() == 0 && !options->dry_run && !extends) {
      throw CLI::RequiredError("--dataset");
    }
  });
}

}  // namespace foldfarm
