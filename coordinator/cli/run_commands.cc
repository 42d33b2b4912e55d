// demo, run.
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/device_list.h"
#include "common/base/files.h"
#include "common/base/option_checks.h"
#include "common/base/status_macros.h"
#include "common/spectra/synthesize.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/demo_sweep.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/run.h"
#include "coordinator/cli/sweep_inputs.h"

namespace foldfarm {
namespace {

constexpr SynthesisOptions kDemoData{.samples = 240, .sam = 16, .seed = 7};

std::string RunCommandLine(const RunOptions& options) {
  return absl::StrCat(
      "foldfarm run ", ShellWord(options.sweep_file), " --data ",
      ShellWord(options.data), " --dir ", ShellWord(options.out),
      options.workers > 0 ? absl::StrCat(" --workers ", options.workers) : "",
      options.device != "auto"
          ? absl::StrCat(" --device ", ShellWord(options.device))
          : "",
      options.trainer.empty()
          ? ""
          : absl::StrCat(" --trainer ", ShellWord(options.trainer)),
      options.allow_exec ? " --allow-exec" : "",
      absl::StrJoin(options.sets, "", [](std::string* out, const auto& set) {
        absl::StrAppend(out, " --set ", ShellWord(set));
      }));
}

// What is wrong with --device, or "": the worker would refuse it as well, but
// after the import. Whether there is such a GPU only the worker knows.
std::string WrongDevice(const std::string& text) {
  if (text == "auto") return "";
  return std::string(ParseDeviceList(text, "--workers").status().message());
}

absl::StatusOr<int> RunCommand(CommandContext& context,
                               const RunOptions& options) {
  RunOptions run = options;
  run.command = RunCommandLine(options);
  return RunSweep(context, run);
}

struct DemoOptions {
  std::string directory = "foldfarm-demo";
  int workers = 0;
};

// Samples appear whole or not at all.
absl::Status MakeDemoData(const Console& console, const std::string& data) {
  if (IsDirectory(data)) return absl::OkStatus();
  console.Note(absl::StrCat("Inventing ", kDemoData.samples + kDemoData.sam,
                            " labelled samples in ", data));
  const std::string partial = data + ".partial";
  FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(partial));
  FOLDFARM_RETURN_IF_ERROR(SynthesizeDataset(partial, kDemoData));
  if (rename(partial.c_str(), data.c_str()) != 0) {
    return ErrnoStatus(data, "cannot rename to");
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Demo(CommandContext& context, const DemoOptions& options) {
  const std::string& directory = options.directory;
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(directory));
  const std::string data = JoinPath(directory, "data");
  FOLDFARM_RETURN_IF_ERROR(MakeDemoData(context.console, data));
  const std::string sweep = JoinPath(directory, "demo.yaml");
  if (!FileExists(sweep)) {  // Else it may have been edited.
    FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(sweep, kDemoSweep));
  }
  RunOptions run;
  run.sweep_file = sweep;
  run.data = data;
  run.out = JoinPath(directory, "out");
  run.workers = options.workers;
  run.command = absl::StrCat(
      "foldfarm demo --dir ", ShellWord(directory),
      options.workers > 0 ? absl::StrCat(" --workers ", options.workers) : "");
  FOLDFARM_ASSIGN_OR_RETURN(const int exit_status, RunSweep(context, run));
  if (exit_status != kExitDone) return exit_status;
  context.console.Note(absl::StrCat(
      "\nThat was a whole farm: a coordinator with a queue and an artifact "
      "store, workers\nthat leased jobs, trainers that sent back metrics, "
      "weights and out-of-fold\npredictions, and the ensemble of them.\n\n"
      "Next:\n  edit ",
      sweep,
      " and run it again; only what changed is "
      "trained:\n    ",
      RunCommandLine(run),
      "\n  use your own samples:\n    foldfarm run SWEEP.yaml --data DIR --dir "
      "OUT\n  look around in a farm that stays up:\n    foldfarm-coordinator "
      "--dir ",
      ShellWord(JoinPath(run.out, "coordinator")),
      " &\n    foldfarm status s1\n    foldfarm metrics s1/MODEL/0"));
  return kExitDone;
}

}  // namespace

void AddRunCommands(CLI::App& app, Invocation& invocation) {
  {
    auto [command, options] = AddCommand<DemoOptions>(
        app, invocation, "demo",
        "Train a small sweep on invented data with a farm on this machine",
        "foldfarm demo --dir /tmp/demo", Demo);
    command
        ->add_option("--dir", options->directory,
                     "Folder for data and results; run again to go on")
        ->type_name("DIR")
        ->capture_default_str();
    command
        ->add_option("--workers", options->workers,
                     "Workers, each training a job at a time (default: by "
                     "cores)")
        ->type_name("N")
        ->check(InRange(1, 256));
  }
  {
    auto [command, options] = AddCommand<RunOptions>(
        app, invocation, "run",
        "Train a sweep on your data with a farm on this machine. Ctrl-C stops; "
        "the same command goes on",
        "foldfarm run mars.yaml --data data/ --dir out/", RunCommand);
    command->add_option("SWEEP.yaml", options->sweep_file, "The sweep file")
        ->type_name("")
        ->required();
    command
        ->add_option("--data", options->data,
                     "Folder with metadata.csv, labels and features")
        ->type_name("DIR")
        ->required();
    command
        ->add_option("--dir", options->out,
                     "Folder for results and everything in between")
        ->type_name("OUT")
        ->required();
    command
        ->add_option("--workers", options->workers,
                     "Workers, each training a job at a time (default: by "
                     "cores)")
        ->type_name("N")
        ->check(InRange(1, 256));
    command
        ->add_option("--device", options->device,
                     "Where workers train: auto, cpu, cuda:0")
        ->check(WrongDevice)
        ->capture_default_str();
    command
        ->add_option("--trainer", options->trainer,
                     "Program that trains (default: foldfarm-trainer beside "
                     "this one)")
        ->type_name("PROGRAM");
    AddSetOption(*command, options->sets);
    command->add_flag("--allow-exec", options->allow_exec,
                      "Run the programs of models with arch: exec, as you, on "
                      "this machine");
  }
}

}  // namespace foldfarm
