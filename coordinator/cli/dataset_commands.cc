// dataset import, synth, list, show.
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/option_checks.h"
#include "common/base/status_macros.h"
#include "common/spectra/synthesize.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/dataset_import.h"
#include "coordinator/cli/dataset_text.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/json_summary.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

absl::StatusOr<int> List(CommandContext& context, const std::monostate&) {
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListDatasetsResponse reply,
                            client.Call(&Farm::ListDatasets, {}));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t width, bool colour) {
    return DatasetsText(reply, context.clock.Now(), width, colour);
  }));
  return kExitDone;
}

struct ImportCommandOptions {
  DatasetImport import;
};

absl::StatusOr<int> Import(CommandContext& context,
                           const ImportCommandOptions& options) {
  FarmClient client(context.coordinator);
  InterruptScope interrupt;
  const auto dataset =
      ImportAndRegister(context.console, context.clock, client, options.import);
  if (absl::IsCancelled(dataset.status()) && !IsInDoubt(dataset.status())) {
    return absl::CancelledError("Stopped; nothing was registered.");
  }
  if (!dataset.ok()) return dataset.status();
  FOLDFARM_RETURN_IF_ERROR(
      context.Show(*dataset, [&](size_t width, bool colour) {
        return DatasetText(*dataset, width, colour);
      }));
  return kExitDone;
}

struct SynthOptions {
  std::string directory;
  SynthesisOptions synthesis;
};

absl::StatusOr<int> Synth(CommandContext& context,
                          const SynthOptions& options) {
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(options.directory));
  FOLDFARM_RETURN_IF_ERROR(
      SynthesizeDataset(options.directory, options.synthesis));
  context.console.Note(absl::StrCat(
      "Wrote ", options.directory, ": ",
      FormatPlural(options.synthesis.samples, "commercial sample"), ", ",
      options.synthesis.sam, " SAM testbed, seed ", options.synthesis.seed,
      "\nImport it with: foldfarm dataset import ",
      ShellWord(options.directory), " --name NAME"));
  PrintSummary(context, {{"folder", options.directory},
                         {"commercial", options.synthesis.samples},
                         {"samTestbed", options.synthesis.sam},
                         {"seed", options.synthesis.seed}});
  return kExitDone;
}

struct NameOptions {
  std::string name;
};

absl::StatusOr<int> ShowDataset(CommandContext& context,
                                const NameOptions& options) {
  v1::GetDatasetRequest request;
  request.set_name(options.name);
  FarmClient client(context.coordinator);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Dataset reply,
                            client.Call(&Farm::GetDataset, request));
  FOLDFARM_RETURN_IF_ERROR(context.Show(reply, [&](size_t width, bool colour) {
    return DatasetText(reply, width, colour);
  }));
  return kExitDone;
}

}  // namespace

void AddDatasetCommands(CLI::App& app, Invocation& invocation) {
  CLI::App* dataset =
      app.add_subcommand("dataset", "Make, import, list and show datasets");
  dataset->require_subcommand(1);
  dataset->footer("Example:\n  foldfarm dataset import data/ --name mars");
  {
    auto [command, options] = AddCommand<ImportCommandOptions>(
        *dataset, invocation, "import",
        "Prepare a folder in the competition's layout, upload and register it",
        "foldfarm dataset import data/ --name mars --allow-missing", Import);
    command
        ->add_option("DIR", options->import.directory,
                     "Folder with metadata.csv, labels and features")
        ->type_name("")
        ->required();
    command->add_option("--name", options->import.name, "Name on the farm")
        ->type_name("NAME")
        ->required();
    command->add_flag("--allow-missing", options->import.allow_missing,
                      "Leave out samples whose features file is absent");
    command
        ->add_option("--threads", options->import.threads,
                     "Samples prepared at a time (default: all cores)")
        ->type_name("N")
        ->check(InRange(1, 1024));
  }
  {
    auto [command, options] = AddCommand<SynthOptions>(
        *dataset, invocation, "synth",
        "Write invented samples in the competition's layout",
        "foldfarm dataset synth data/ --samples 240 --sam 16 --seed 7", Synth);
    command->add_option("DIR", options->directory, "Folder to write")
        ->type_name("")
        ->required();
    command
        ->add_option("--samples", options->synthesis.samples,
                     "Labelled samples of the commercial instrument")
        ->type_name("N")
        ->check(InRange(0, 100000))
        ->capture_default_str();
    command
        ->add_option("--sam", options->synthesis.sam,
                     "Labelled samples of the SAM testbed")
        ->type_name("N")
        ->check(InRange(0, 100000))
        ->capture_default_str();
    command
        ->add_option("--seed", options->synthesis.seed,
                     "Same seed, same samples")
        ->type_name("S")
        ->check([](const std::string& text) {
          return text.empty() || text[0] == '-'
                     ? absl::StrCat("is ", text, ", expected 0 or more")
                     : "";
        })
        ->capture_default_str();
  }
  AddCommand<std::monostate>(*dataset, invocation, "list", "List datasets",
                             "foldfarm dataset list", List);
  auto [show, name] = AddCommand<NameOptions>(
      *dataset, invocation, "show",
      "Show a dataset's samples by split and instrument, and its labels",
      "foldfarm dataset show mars", ShowDataset);
  show->add_option("NAME", name->name, "Name of the dataset")
      ->type_name("")
      ->required();
}

}  // namespace foldfarm
