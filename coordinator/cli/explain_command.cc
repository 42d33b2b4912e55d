// explain: what speaks for a label of a sample, as a picture and a list.
//
// foldfarm-trainer asks the networks of a bundle; the picture is painted here
// and put in place whole. What stands in between goes with its temporary
// folder.
#include <algorithm>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/device_list.h"
#include "common/base/edit_distance.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/option_checks.h"
#include "common/base/status_macros.h"
#include "common/bundle/bundle.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/explanation.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/output_file.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/trainer_call.h"
#include "nlohmann/json.hpp"

namespace foldfarm {
namespace {

struct ExplainCommandOptions {
  std::string bundle;
  std::string sample;
  std::string label;
  std::string out;
  int top = 10;
  int draws = 4;
  std::string instrument;
  std::string device = "cpu";
  int threads = 0;
  std::string trainer;
};

absl::Status CheckLabel(const Bundle& bundle, const std::string& label) {
  const std::vector<std::string>& labels = bundle.labels;
  if (std::find(labels.begin(), labels.end(), label) != labels.end()) {
    return absl::OkStatus();
  }
  const std::string near = Nearest(label, labels);
  return absl::NotFoundError(absl::StrCat(
      "the bundle has no label \"", label, "\"",
      near.empty() ? absl::StrCat("; it has ", absl::StrJoin(labels, ", "))
                   : absl::StrCat(" (did you mean \"", near, "\"?)")));
}

absl::StatusOr<int> ExplainLabel(CommandContext& context,
                                 const ExplainCommandOptions& options) {
  FOLDFARM_ASSIGN_OR_RETURN(const Bundle bundle, ReadBundle(options.bundle));
  FOLDFARM_RETURN_IF_ERROR(CheckLabel(bundle, options.label));
  std::string picture;
  if (!options.out.empty()) {
    FOLDFARM_ASSIGN_OR_RETURN(picture, FindOutputFile(options.out));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string trainer,
                            FindTrainer(options.trainer, "explains"));
  InterruptScope interrupt;
  FOLDFARM_ASSIGN_OR_RETURN(const std::string folder,
                            MakeTemporaryDirectory("foldfarm-explain"));
  const absl::Cleanup remove = [&] { (void)RemoveRecursively(folder); };
  const int cores =
      std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const nlohmann::json spec = {
      {"bundle", options.bundle},
      {"sample", options.sample},
      {"label", options.label},
      {"instrument", options.instrument},
      {"draws", options.draws},
      {"device", options.device},
      {"threads", options.threads > 0 ? options.threads : cores}};
  FOLDFARM_RETURN_IF_ERROR(
      WriteFileAtomically(JoinPath(folder, "explain.json"), JsonText(spec)));
  {
    Progress progress(context.console, context.clock, "Asking",
                      ProgressUnit::kNetworks);
    FOLDFARM_RETURN_IF_ERROR(CallTrainer(
        context.clock,
        {.trainer = trainer,
         .command = "explain",
         .folder = folder,
         .progress = [&](const std::string& line) {
           const std::vector<std::string> parts = absl::StrSplit(line, '/');
           int64_t done = 0, total = 0;
           if (parts.size() == 2 && absl::SimpleAtoi(parts[0], &done) &&
               absl::SimpleAtoi(parts[1], &total)) {
             progress.Update(done, total);
           }
         }}));
  }
  FOLDFARM_ASSIGN_OR_RETURN(
      const Explanation explanation,
      LoadExplanation(JoinPath(folder, "explain.safetensors"),
                      static_cast<size_t>(options.top)));
  for (const std::string& warning : explanation.warnings) {
    context.console.Warn(absl::StrCat(explanation.sample, ": ", warning));
  }
  if (explanation.instrument_guessed) {
    context.console.Note(absl::StrCat(
        explanation.sample, ": its instrument is not known, taken for ",
        explanation.instrument_type, " (--instrument says otherwise)"));
  }
  if (!options.out.empty()) {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string png,
                              PaintExplanation(explanation));
    FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(picture, png));
    context.console.Note(absl::StrCat("Wrote ", options.out));
  }
  const Console& console = context.console;
  const size_t width =
      console.out_is_terminal ? TerminalSizeOf(console.out_fd).columns : 0;
  *console.out << (context.format == OutputFormat::kJson
                       ? ExplanationJson(explanation)
                       : ExplanationText(explanation, width,
                                         console.out_colour))
               << std::flush;
  return kExitDone;
}

}  // namespace

void AddExplainCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<ExplainCommandOptions>(
      app, invocation, "explain",
      "Show which m/z and temperatures speak for a label of a sample, as a\n"
      "picture beside its spectrum and as a list of ions",
      "foldfarm explain mars-bundle/ S1153.csv --label sulfate --out why.png",
      ExplainLabel);
  command->add_option("BUNDLE", options->bundle, "Folder of foldfarm bundle")
      ->type_name("")
      ->required();
  command->add_option("SAMPLE", options->sample, "Features file")
      ->type_name("")
      ->required();
  command->add_option("--label", options->label, "Label to explain")
      ->type_name("NAME")
      ->required();
  command->add_option("--out", options->out, "The picture to write")
      ->type_name("F.png");
  command->add_option("--top", options->top, "Peaks to list")
      ->type_name("N")
      ->check(InRange(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--draws", options->draws,
                   "Images of the sample that each network is asked about")
      ->type_name("N")
      ->check(InRange(1, 1000))
      ->capture_default_str();
  command
      ->add_option("--instrument", options->instrument,
                   "Of a sample that no metadata.csv names (default: guessed)")
      ->type_name("commercial|sam_testbed")
      ->check(CLI::IsMember({"commercial", "sam_testbed"}).description(""));
  command->add_option("--device", options->device, "Where networks run")
      ->type_name("cpu|cuda:0")
      ->check([](const std::string& text) {
        const auto devices = ParseDeviceList(text, /*for_several=*/"");
        return devices.ok() && devices->size() == 1
                   ? ""
                   : absl::StrCat("got \"", text,
                                  "\", expected one device: cpu or cuda:0");
      })
      ->capture_default_str();
  command->add_option("--threads", options->threads, "Default: all cores")
      ->type_name("N")
      ->check(InRange(1, 1024));
  command
      ->add_option("--trainer", options->trainer,
                   "Program that asks (default: foldfarm-trainer beside "
                   "foldfarm)")
      ->type_name("PROGRAM");
}

}  // namespace foldfarm
