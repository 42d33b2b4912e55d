// render: the images that a model gets, on a contact sheet.
//
//  1. The dataset is a prepared file, or fetched from the farm by name.
//  2. foldfarm-trainer draws: only it knows how a sample becomes an image.
//  3. The sheet is laid out, painted and put in place whole.
// Everything in between stands in a temporary folder and goes with it.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/edit_distance.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/option_checks.h"
#include "common/base/status_macros.h"
#include "common/rpc/retry.h"
#include "common/spectra/prepared_dataset.h"
#include "common/sweep/sweep.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/fetch_dataset.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/json_summary.h"
#include "coordinator/cli/output_file.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/render_sheet.h"
#include "coordinator/cli/trainer_call.h"

namespace foldfarm {
namespace {

constexpr char kDatasetFile[] = "dataset.safetensors";

struct RenderCommandOptions {
  std::string dataset;
  std::vector<std::string> samples;
  std::string sweep;
  std::string model;
  int draws = 9;
  uint32_t seed = 1;
  std::string out;
  std::string trainer;
};

// "no WHAT "NAME" in WHERE (did you mean "NEAR"?)".
absl::Status Unknown(absl::string_view what, const std::string& name,
                     absl::string_view where,
                     const std::vector<std::string>& known) {
  const std::string near = Nearest(name, known);
  return absl::NotFoundError(absl::StrCat(
      "no ", what, " \"", name, "\" in ", where,
      near.empty()
          ? absl::StrCat(
                "; it has ",
                FormatPlural(static_cast<int64_t>(known.size()), what),
                known.empty() ? "" : absl::StrCat(", such as ", known[0]))
          : absl::StrCat(" (did you mean \"", near, "\"?)")));
}

absl::StatusOr<v1::ModelSpec> FindModel(const RenderCommandOptions& options) {
  FOLDFARM_ASSIGN_OR_RETURN(const v1::SweepSpec sweep,
                            LoadSweepFile(options.sweep));
  std::vector<std::string> names;
  for (const v1::ModelSpec& model : sweep.models()) {
    if (model.name() != options.model) {
      names.push_back(model.name());
      continue;
    }
    if (model.arch().has_none()) {
      return absl::InvalidArgumentError(
          absl::StrCat(options.model,
                       " sees no image: \"arch: none\" predicts how frequent "
                       "each label is, whatever the sample"));
    }
    if (model.arch().has_exec()) {
      return absl::InvalidArgumentError(absl::StrCat(
          options.model,
          " sees no image: its program gets the prepared dataset as it is "
          "(arch: exec)"));
    }
    return model;
  }
  return Unknown("model", options.model, options.sweep, names);
}

// Puts the dataset, a file or a name, into `folder`. Returns where it is, as
// people know it.
absl::StatusOr<std::string> PlaceDataset(CommandContext& context,
                                         const std::string& dataset,
                                         const std::string& folder) {
  const std::string path = JoinPath(folder, kDatasetFile);
  // A folder beside it may have the dataset's name, and hold what it is of.
  if (FileExists(dataset) && !IsDirectory(dataset)) {
    char* absolute = realpath(dataset.c_str(), nullptr);
    if (absolute == nullptr) return ErrnoStatus(dataset, "cannot find");
    const absl::Cleanup release = [&] { free(absolute); };
    if (symlink(absolute, path.c_str()) != 0) {
      return ErrnoStatus(path, "cannot link");
    }
    return dataset;
  }
  FarmClient client(context.coordinator);
  v1::GetDatasetRequest request;
  request.set_name(dataset);
  FOLDFARM_ASSIGN_OR_RETURN(
      const v1::Dataset known,
      client.Call(&v1::FarmService::StubInterface::GetDataset, request));
  Progress progress(context.console, context.clock, "Fetching",
                    ProgressUnit::kBytes);
  FOLDFARM_RETURN_IF_ERROR(FetchDataset(
      client, context.clock, known, path, &InterruptScope::Interrupted,
      [&](int64_t done, int64_t total) { progress.Update(done, total); }));
  return path;
}

absl::Status CheckSamples(const PreparedDataset& dataset,
                          const RenderCommandOptions& options) {
  std::vector<std::string> known;
  for (const SampleInfo& sample : dataset.header().samples) {
    known.push_back(sample.id);
  }
  for (const std::string& id : options.samples) {
    if (dataset.IndexOf(id).ok()) continue;
    return Unknown("sample", id, options.dataset, known);
  }
  return absl::OkStatus();
}

absl::Status WriteDrawFile(const PreparedDataset& dataset,
                           const v1::ModelSpec& model,
                           const RenderCommandOptions& options,
                           const std::string& folder) {
  std::vector<std::string> train;
  for (const SampleInfo& sample : dataset.header().samples) {
    if (sample.labelled && sample.split == "train") train.push_back(sample.id);
  }
  const nlohmann::json draw = {{"model", ParseJson(ModelToJson(model))},
                               {"samples", options.samples},
                               {"train_samples", train},
                               {"draws", options.draws},
                               {"seed", options.seed}};
  return WriteFileAtomically(JoinPath(folder, "draw.json"), JsonText(draw));
}

absl::StatusOr<int> Render(CommandContext& context,
                           RenderCommandOptions options) {
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ModelSpec model, FindModel(options));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string file,
                            FindOutputFile(options.out));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string trainer,
                            FindTrainer(options.trainer, "draws"));
  // Each once, in the order given.
  std::vector<std::string> samples;
  for (const std::string& id : options.samples) {
    if (std::find(samples.begin(), samples.end(), id) == samples.end()) {
      samples.push_back(id);
    }
  }
  options.samples = std::move(samples);

  InterruptScope interrupt;
  FOLDFARM_ASSIGN_OR_RETURN(const std::string folder,
                            MakeTemporaryDirectory("foldfarm-render"));
  const absl::Cleanup remove = [&] { (void)RemoveRecursively(folder); };
  FOLDFARM_ASSIGN_OR_RETURN(const std::string file_of_dataset,
                            PlaceDataset(context, options.dataset, folder));
  FOLDFARM_ASSIGN_OR_RETURN(const auto dataset,
                            PreparedDataset::Open(file_of_dataset));
  FOLDFARM_RETURN_IF_ERROR(CheckSamples(*dataset, options));
  FOLDFARM_RETURN_IF_ERROR(WriteDrawFile(*dataset, model, options, folder));
  FOLDFARM_RETURN_IF_ERROR(
      CallTrainer(context.clock,
                  {.trainer = trainer, .command = "draw", .folder = folder}));
  FOLDFARM_ASSIGN_OR_RETURN(
      const auto images,
      TensorFile::Open(JoinPath(folder, "images.safetensors")));
  FOLDFARM_ASSIGN_OR_RETURN(
      ContactSheet sheet,
      SheetOfImages(*images, *dataset, model, options.samples));
  sheet.detail = absl::StrCat(
      "arch ", ArchName(model), "  ·  sweep ", BaseName(options.sweep),
      "  ·  dataset ", BaseName(options.dataset), "  ·  ",
      FormatPlural(options.draws, "draw"), ", seed ", options.seed);
  if (model.arch().has_xgboost() || model.arch().has_tabnet()) {
    absl::StrAppend(&sheet.detail, "  ·  its features come from these images");
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string png, PaintContactSheet(sheet));
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(file, png));
  const PixelRect size = SheetRect(sheet);
  context.console.Note(absl::StrCat("Wrote ", options.out, ": ", size.width,
                                    " x ", size.height, " pixels, ",
                                    absl::StrJoin(options.samples, ", ")));
  PrintSummary(context, {{"file", options.out},
                         {"width", size.width},
                         {"height", size.height},
                         {"model", options.model},
                         {"samples", options.samples}});
  return kExitDone;
}

}  // namespace

void AddRenderCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<RenderCommandOptions>(
      app, invocation, "render",
      "Draw the images that a model gets from samples, before and after\n"
      "augmentation, mixing and sam_augment, as a PNG contact sheet",
      "foldfarm render --dataset mars --sample S0754 --sweep mars-two.yaml "
      "--model 130_gru --draws 9 --out sheet.png",
      Render);
  command
      ->add_option("--dataset", options->dataset,
                   "Dataset on the farm, or a prepared dataset's file")
      ->type_name("NAME|FILE")
      ->required();
  command
      ->add_option("--sample", options->samples,
                   "Sample to draw; may be repeated")
      ->type_name("ID")
      ->required();
  command->add_option("--sweep", options->sweep, "Sweep file with the model")
      ->type_name("F.yaml")
      ->required();
  command->add_option("--model", options->model, "Model of the sweep")
      ->type_name("NAME")
      ->required();
  command->add_option("--draws", options->draws, "Images of each kind")
      ->type_name("N")
      ->check(InRange(1, 100))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "Same seed, same images")
      ->type_name("S")
      ->capture_default_str();
  command->add_option("--out", options->out, "The file to write")
      ->type_name("F.png")
      ->required();
  command
      ->add_option("--trainer", options->trainer,
                   "Program that draws (default: foldfarm-trainer beside "
                   "foldfarm)")
      ->type_name("PROGRAM");
}

}  // namespace foldfarm
