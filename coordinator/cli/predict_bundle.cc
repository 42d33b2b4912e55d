#include "coordinator/cli/predict_bundle.h"

#include <google/protobuf/util/json_util.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/bundle/bundle.h"
#include "common/spectra/prepare.h"
#include "coordinator/cli/progress.h"
#include "coordinator/cli/transfer.h"

namespace foldfarm {
namespace {

absl::StatusOr<v1::ModelSpec> ParseModel(const BundleModel& model,
                                         const std::string& where) {
  v1::ModelSpec spec;
  const auto parsed =
      google::protobuf::util::JsonStringToMessage(model.model_json, &spec);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        where, ": model ", model.name, ": ", std::string(parsed.message())));
  }
  spec.set_name(model.name);
  spec.set_seed(model.seed);
  return spec;
}

}  // namespace

absl::StatusOr<PredictSource> ReadBundleSource(CommandContext& context,
                                               FarmClient& client,
                                               const std::string& directory) {
  FOLDFARM_ASSIGN_OR_RETURN(const Bundle bundle, ReadBundle(directory));
  if (bundle.preparation != kPreparationVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        directory, ": its networks learned from samples of preparation ",
        "version ", bundle.preparation, ", this program prepares by version ",
        kPreparationVersion));
  }
  {
    Progress progress(context.console, context.clock, "Checking",
                      ProgressUnit::kBytes);
    FOLDFARM_RETURN_IF_ERROR(VerifyBundle(
        bundle, directory,
        [&](int64_t done, int64_t total) { progress.Update(done, total); }));
  }
  PredictSource source;
  source.name = bundle.name;
  source.labels = bundle.labels;
  source.tta = bundle.tta;
  for (const BundleModel& model : bundle.models) {
    PredictSource::Model& known = source.models.emplace_back();
    known.name = model.name;
    source.weights[model.name] = model.weight;
    v1::BundleModel& carried = source.bundle.emplace_back();
    FOLDFARM_ASSIGN_OR_RETURN(*carried.mutable_model(),
                              ParseModel(model, directory));
    if (carried.model().arch().has_exec()) {
      known.obstacle = "it is a user's program (arch: exec), which only trains";
    }
    for (const std::vector<BundleFile>& files : model.folds) {
      v1::BundleModel::Fold& fold = *carried.add_folds();
      for (const BundleFile& file : files) {
        FOLDFARM_ASSIGN_OR_RETURN(
            v1::ArtifactRef ref,
            UploadWithProgress(context.console, context.clock, client,
                               JoinPath(directory, file.path), file.digest));
        ref.set_name(file.name);
        absl::StrAppend(&known.version, " ", file.digest);
        *fold.add_files() = std::move(ref);
      }
    }
  }
  return source;
}

absl::StatusOr<PredictSource> ReadPredictSource(CommandContext& context,
                                                FarmClient& client,
                                                const std::string& name) {
  if (FileExists(JoinPath(name, kBundleFile))) {
    return ReadBundleSource(context, client, name);
  }
  // No sweep is named like that.
  if (absl::StrContains(name, '/') || IsDirectory(name)) {
    return absl::NotFoundError(absl::StrCat(name, " is no bundle: there is no ",
                                            kBundleFile, " in it"));
  }
  return ReadSweepSource(client, name);
}

}  // namespace foldfarm
