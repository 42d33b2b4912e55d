// bundle: a sweep's networks as a folder that predicts by itself.
//
//  1. Out-of-fold predictions say which models there are, and how good.
//  2. The models' files are fetched into DIR/models; those there already, with
//     the right digest, are kept.
//  3. The model card and, last, bundle.json are written: without it the folder
//     is no bundle, and the same command goes on where it was.
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/attempt_files.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/bundle/bundle.h"
#include "common/spectra/prepare.h"
#include "common/spectra/sample_table.h"
#include "common/sweep/sweep.h"
#include "coordinator/cli/bundle_plan.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/export.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/inside_folder.h"
#include "coordinator/cli/interrupt.h"
#include "coordinator/cli/json_summary.h"
#include "coordinator/cli/model_card.h"
#include "coordinator/cli/progress.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

constexpr char kModelsFolder[] = "models";
// Stands in a folder that is to become a bundle.
constexpr char kUnfinishedFile[] = "UNFINISHED";

struct BundleCommandOptions {
  std::string sweep;
  std::string out;
  std::string models;
  std::string weights = "equal";
  std::string name;
};

// Makes the folder ours, or refuses one that holds something else.
absl::Status ClaimFolder(const std::string& directory) {
  if (FileExists(directory) && !IsDirectory(directory)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--out ", directory, " is a file, expected a folder to write"));
  }
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(directory));
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            ListDirectory(directory));
  const auto has = [&](const char* name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  if (!names.empty() && !has(kBundleFile) && !has(kUnfinishedFile)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "--out ", directory, " holds other files (", names[0],
        names.size() > 1 ? ", ..." : "",
        ") and is not a bundle; choose an empty folder or a new one"));
  }
  if (has(kBundleFile)) {
    // Another format's or a damaged one is not ours to replace.
    const absl::Status readable = ReadBundle(directory).status();
    if (!readable.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "--out ", directory, " cannot be replaced: ", readable.message()));
    }
  }
  FOLDFARM_RETURN_IF_ERROR(
      WriteFileAtomically(JoinPath(directory, kUnfinishedFile),
                          "foldfarm bundle was here and has not finished.\n"));
  return RemoveRecursively(JoinPath(directory, kBundleFile));
}

// Models that run a user's program, which no bundle can hold.
absl::StatusOr<std::set<std::string>> ExecModels(FarmClient& client,
                                                 const std::string& sweep) {
  v1::GetSweepRequest request;
  request.set_sweep(sweep);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Sweep reply,
                            client.Call(&Farm::GetSweep, request));
  std::set<std::string> names;
  for (const v1::ModelSpec& model : reply.spec().models()) {
    if (model.arch().has_exec()) names.insert(model.name());
  }
  return names;
}

// Leaves out models of users' programs; refuses when they were asked for.
absl::Status DropExecModels(CommandContext& context,
                            const std::set<std::string>& exec,
                            const std::string& choice, OofMatrix& oof) {
  std::vector<std::string> dropped;
  for (size_t m = oof.models.size(); m-- > 0;) {
    if (exec.count(oof.models[m].name) == 0) continue;
    dropped.insert(dropped.begin(), oof.models[m].name);
    oof.models.erase(oof.models.begin() + static_cast<ptrdiff_t>(m));
  }
  if (dropped.empty()) return absl::OkStatus();
  const std::string what =
      absl::StrCat("a user's program trains ", absl::StrJoin(dropped, ", "),
                   " (arch exec), which a bundle cannot hold");
  for (const std::string& name : dropped) {
    if (absl::StrContains(absl::StrCat(",", choice, ","),
                          absl::StrCat(",", name, ","))) {
      return absl::FailedPreconditionError(
          absl::StrCat(what, "; leave it out of --models"));
    }
  }
  if (oof.models.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, "; nothing is left"));
  }
  context.console.Warn(absl::StrCat(what, "; left out"));
  return absl::OkStatus();
}

// The images that a model draws, the same in every bundle of its sweep.
uint32_t SeedOf(const std::string& sweep, const std::string& model) {
  const std::string digest = Sha256Hex(absl::StrCat(sweep, "/", model));
  uint32_t seed = 0;
  return absl::SimpleHexAtoi(digest.substr(0, 8), &seed) ? seed : 1;
}

absl::StatusOr<Bundle> Describe(const ExportReport& report,
                                const OofMatrix& oof, const BundlePlan& plan,
                                const BundleFigures& figures,
                                const std::string& name) {
  Bundle bundle;
  bundle.name = name.empty() ? report.sweep.name() : name;
  bundle.labels = oof.labels;
  bundle.preparation = kPreparationVersion;
  bundle.tta = std::max(1, report.sweep.spec().tta());
  bundle.shrink = {{kCommercial, kShrinkCommercial},
                   {kSamTestbed, kShrinkSamTestbed}};
  bundle.sweep_id = report.sweep.id();
  bundle.sweep_name = report.sweep.name();
  bundle.dataset_name = report.dataset.name();
  bundle.dataset_digest = report.dataset.digest();
  bundle.program = "foldfarm " FOLDFARM_VERSION;
  bundle.oof_json = FiguresJson(figures);
  for (size_t i = 0; i < plan.models.size(); ++i) {
    const std::string& its_name = oof.models[plan.models[i]].name;
    const auto spec = report.models.find(its_name);
    if (spec == report.models.end()) {
      return absl::InternalError(absl::StrCat(its_name, " has no results"));
    }
    if (report.mixed.count(its_name) > 0) {
      return absl::FailedPreconditionError(absl::StrCat(
          its_name,
          ": its folds were retried with options of what they are fed or of "
          "their architecture that differ, and a bundle has one set of them; "
          "choose other --models, or train it in a sweep of its own"));
    }
    BundleModel model;
    model.name = its_name;
    model.weight = plan.weights[i];
    model.seed = SeedOf(report.sweep.name(), its_name);
    model.labels = LabelsOfModel(spec->second, oof.labels);
    model.model_json = ModelToJson(spec->second);
    model.folds.resize(static_cast<size_t>(figures.folds));
    for (const ExportedFile& file : report.exported) {
      if (file.model != its_name) continue;
      if (file.fold < 0 || file.fold >= figures.folds) {
        return absl::DataLossError(absl::StrCat(
            file.path, ": the coordinator says it is of fold ", file.fold,
            ", expected 0 to ", figures.folds - 1, " as in its predictions"));
      }
      model.folds[static_cast<size_t>(file.fold)].push_back(
          {.name = file.ref.name(),
           .path = JoinPath(kModelsFolder, file.path),
           .digest = file.ref.digest(),
           .bytes = file.ref.size_bytes()});
    }
    for (size_t f = 0; f < model.folds.size(); ++f) {
      if (FindFile(model.folds[f], kWeightsFile) != nullptr) continue;
      return absl::FailedPreconditionError(
          absl::StrCat(its_name, "/", f, " left no ", kWeightsFile,
                       ", so it cannot predict; leave it out of --models"));
    }
    bundle.models.push_back(std::move(model));
  }
  return bundle;
}

bool IsSymbolicLink(const std::string& path) {
  struct stat info;
  return lstat(path.c_str(), &info) == 0 && S_ISLNK(info.st_mode);
}

// Removes what an earlier bundle left in DIR/models.
absl::Status RemoveOthers(const Bundle& bundle, const std::string& directory) {
  std::set<std::string> wanted;
  for (const BundleModel& model : bundle.models) {
    for (const auto& fold : model.folds) {
      for (const BundleFile& file : fold) wanted.insert(file.path);
    }
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> models,
                            ListDirectory(JoinPath(directory, kModelsFolder)));
  for (const std::string& model : models) {
    const std::string folder = JoinPath(kModelsFolder, model);
    const std::string full = JoinPath(directory, folder);
    if (IsSymbolicLink(full)) {
      // Goes itself; what it points at is not the bundle's.
      FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(full));
      continue;
    }
    if (!IsDirectory(full)) continue;
    FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> files,
                              ListDirectory(JoinPath(directory, folder)));
    size_t kept = 0;
    for (const std::string& file : files) {
      const std::string path = JoinPath(folder, file);
      if (wanted.count(path) > 0) {
        ++kept;
      } else {
        FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(JoinPath(directory, path)));
      }
    }
    if (kept == 0) {
      FOLDFARM_RETURN_IF_ERROR(RemoveRecursively(JoinPath(directory, folder)));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<ExportReport> Fetch(CommandContext& context, FarmClient& client,
                                   const BundleCommandOptions& options,
                                   std::vector<std::string> models) {
  // DIR/models itself must not lead elsewhere.
  FOLDFARM_RETURN_IF_ERROR(
      MakePlaceInside(options.out, absl::StrCat(kModelsFolder, "/model"))
          .status());
  Progress progress(context.console, context.clock, "Fetching",
                    ProgressUnit::kBytes);
  ExportOptions to_export;
  to_export.sweep = options.sweep;
  to_export.directory = JoinPath(options.out, kModelsFolder);
  to_export.models = std::move(models);
  to_export.index = false;
  to_export.cancelled = &InterruptScope::Interrupted;
  to_export.progress = [&](int64_t done, int64_t total) {
    progress.Update(done, total);
  };
  auto report = ExportModels(client, to_export);
  if (absl::IsCancelled(report.status())) {
    return absl::CancelledError(
        "Stopped; the same command fetches what is missing.");
  }
  return report;
}

absl::StatusOr<int> MakeBundle(CommandContext& context,
                               const BundleCommandOptions& options) {
  FarmClient client(context.coordinator);
  InterruptScope interrupt;
  FOLDFARM_ASSIGN_OR_RETURN(const std::set<std::string> exec,
                            ExecModels(client, options.sweep));
  FOLDFARM_ASSIGN_OR_RETURN(OofMatrix oof,
                            FetchComplete(client, options.sweep));
  FOLDFARM_RETURN_IF_ERROR(DropExecModels(context, exec, options.models, oof));
  FOLDFARM_ASSIGN_OR_RETURN(BundlePlan plan, ChooseModels(oof, options.models));
  const std::vector<std::string> weightless =
      WeighModels(oof, options.weights, plan);
  if (!weightless.empty()) {
    context.console.Note(
        absl::StrCat("Left out, for beside the others they weigh nothing (",
                     options.weights, "): ", absl::StrJoin(weightless, ", ")));
  }
  FOLDFARM_RETURN_IF_ERROR(ClaimFolder(options.out));
  std::vector<std::string> names;
  for (const size_t model : plan.models) {
    names.push_back(oof.models[model].name);
  }
  FOLDFARM_ASSIGN_OR_RETURN(const ExportReport report,
                            Fetch(context, client, options, names));
  const BundleFigures figures = FiguresOf(oof, plan);
  FOLDFARM_ASSIGN_OR_RETURN(const Bundle bundle,
                            Describe(report, oof, plan, figures, options.name));
  FOLDFARM_RETURN_IF_ERROR(RemoveOthers(bundle, options.out));
  FOLDFARM_RETURN_IF_ERROR(
      WriteFileDurably(JoinPath(options.out, kModelCardFile),
                       ModelCard(bundle, figures, report.dataset, plan,
                                 options.weights, BaseName(options.out))));
  FOLDFARM_RETURN_IF_ERROR(WriteFileDurably(JoinPath(options.out, kBundleFile),
                                            BundleToJson(bundle)));
  FOLDFARM_RETURN_IF_ERROR(
      RemoveRecursively(JoinPath(options.out, kUnfinishedFile)));
  context.console.Note(absl::StrCat(
      "Bundled ",
      FormatPlural(static_cast<int64_t>(bundle.models.size()), "model"), ", ",
      FormatPlural(report.jobs, "network"), ", ", FormatBytes(report.bytes),
      " in ", options.out, ": out-of-fold log loss ",
      FormatScore(figures.ensemble.log_loss_shrink_0002), " on ",
      FormatPlural(figures.ensemble.samples, "sample"),
      "\nTry it: foldfarm-trainer predict ", ShellWord(options.out),
      " SAMPLE.csv"));
  nlohmann::ordered_json summary = {
      {"sweep", options.sweep},
      {"folder", options.out},
      {"name", bundle.name},
      {"models", nlohmann::ordered_json::array()},
      {"networks", report.jobs},
      {"bytes", report.bytes},
      {"logLoss", figures.ensemble.log_loss_shrink_0002},
      {"samples", figures.ensemble.samples}};
  for (const BundleModel& model : bundle.models) {
    summary["models"].push_back(
        {{"name", model.name}, {"weight", model.weight}});
  }
  PrintSummary(context, summary);
  return kExitDone;
}

}  // namespace

void AddBundleCommand(CLI::App& app, Invocation& invocation) {
  auto [command, options] = AddCommand<BundleCommandOptions>(
      app, invocation, "bundle",
      "Make a folder that predicts by itself: the networks of a sweep, their\n"
      "options and weights, and a model card",
      "foldfarm bundle s3 --models greedy:8 --out mars-bundle/", MakeBundle);
  command->add_option("SWEEP", options->sweep, "Id or name of the sweep")
      ->type_name("")
      ->required();
  command->add_option("--out", options->out, "Folder to write")
      ->type_name("DIR")
      ->required();
  command
      ->add_option("--models", options->models,
                   "The first N of greedy growth, or these (default: all that "
                   "are complete on all folds)")
      ->type_name("greedy:N|NAME,...");
  command
      ->add_option("--weights", options->weights,
                   "How models are weighed in the mean; greedy and "
                   "least-log-loss fit the weights to their out-of-fold "
                   "predictions")
      ->type_name("equal|greedy|least-log-loss")
      ->check(
          CLI::IsMember({"equal", "greedy", "least-log-loss"}).description(""))
      ->capture_default_str();
  command
      ->add_option("--name", options->name,
                   "What the bundle is called (default: as the sweep)")
      ->type_name("NAME");
}

}  // namespace foldfarm
