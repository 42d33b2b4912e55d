#include "coordinator/cli/predict_source.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/edit_distance.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/bundle_plan.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

// Notes what a job of the model says: its result, or why there is none.
void AddJob(const v1::Job& job, PredictSource::Model& model) {
  absl::StrAppend(&model.version, " ", job.fold(), "/", job.attempt_count(),
                  "/", job.reused_from(), "/",
                  absl::ToUnixMicros(ToTime(job.end_time())));
  if (job.state() == v1::Job::SUCCEEDED) return;
  absl::StrAppend(
      &model.obstacle, model.obstacle.empty() ? "" : ", ", "fold ", job.fold(),
      " is ", StateName(job.state()),
      job.state() == v1::Job::FAILED && !job.error().empty()
          ? absl::StrCat(" (", job.error().substr(0, job.error().find('\n')),
                         ")")
          : "");
}

std::vector<std::string> NamesOf(const PredictSource& source) {
  std::vector<std::string> names;
  for (const PredictSource::Model& model : source.models) {
    names.push_back(model.name);
  }
  return names;
}

// The first of `count` in the order of growth.
absl::StatusOr<std::set<std::string>> GrowthModels(FarmClient& client,
                                                   const PredictSource& source,
                                                   absl::string_view count) {
  int n = 0;
  if (!absl::SimpleAtoi(count, &n) || n < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("--models is \"greedy:", count,
                     "\", expected a number of models, e.g. greedy:8"));
  }
  if (source.dataset.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "bundle ", source.name,
        " has no ensemble to choose by; name its models with --models"));
  }
  v1::GetEnsembleRequest request;
  request.set_sweep(source.name);
  FOLDFARM_ASSIGN_OR_RETURN(
      const v1::GetEnsembleResponse ensemble,
      client.Call(&Farm::GetEnsemble, request, absl::Minutes(10)));
  if (n > ensemble.growth_size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("--models is greedy:", n, ", but ", source.name, " has ",
                     FormatPlural(ensemble.growth_size(), "complete model")));
  }
  std::set<std::string> names;
  for (int i = 0; i < n; ++i) names.insert(ensemble.growth(i).model());
  return names;
}

absl::StatusOr<std::set<std::string>> NamedModels(const PredictSource& source,
                                                  const std::string& list) {
  const std::vector<std::string> all = NamesOf(source);
  std::set<std::string> names;
  for (const std::string& name :
       std::vector<std::string>(absl::StrSplit(list, ','))) {
    const auto model = std::find_if(
        source.models.begin(), source.models.end(),
        [&](const PredictSource::Model& other) { return other.name == name; });
    if (model == source.models.end()) {
      const std::string near = Nearest(name, all);
      return absl::NotFoundError(absl::StrCat(
          source.name, " has no model \"", name, "\"",
          near.empty() ? absl::StrCat("; it has ", absl::StrJoin(all, ", "))
                       : absl::StrCat(" (did you mean \"", near, "\"?)")));
    }
    if (!model->obstacle.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("model ", name, " cannot predict: ", model->obstacle));
    }
    names.insert(name);
  }
  return names;
}

// Weighs the chosen models, and leaves out those that then weigh nothing.
absl::Status Weigh(FarmClient& client, const PredictSource& source,
                   const std::string& weights, ModelChoice& choice) {
  if (source.dataset.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "bundle ", source.name,
        " has no out-of-fold predictions to fit weights to; leave --weights "
        "and --models out for its own, or ask for equal ones"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(const OofMatrix oof,
                            FetchComplete(client, source.name));
  FOLDFARM_ASSIGN_OR_RETURN(
      BundlePlan plan, ChooseModels(oof, absl::StrJoin(choice.names, ",")));
  for (const std::string& name : WeighModels(oof, weights, plan)) {
    choice.left_out.emplace_back(
        name,
        absl::StrCat("beside the others it weighs nothing (", weights, ")"));
  }
  choice.names.clear();
  for (size_t i = 0; i < plan.models.size(); ++i) {
    const std::string& name = oof.models[plan.models[i]].name;
    choice.names.push_back(name);
    choice.weights[name] = plan.weights[i];
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PredictSource> ReadSweepSource(FarmClient& client,
                                              const std::string& name) {
  v1::GetSweepRequest get_sweep;
  get_sweep.set_sweep(name);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Sweep sweep,
                            client.Call(&Farm::GetSweep, get_sweep));
  if (!sweep.prediction().empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(sweep.id(), " itself predicts ", sweep.prediction(),
                     "; name the sweep that trained"));
  }
  v1::GetDatasetRequest get_dataset;
  get_dataset.set_name(sweep.dataset());
  FOLDFARM_ASSIGN_OR_RETURN(const v1::Dataset dataset,
                            client.Call(&Farm::GetDataset, get_dataset));
  v1::ListJobsRequest list;
  list.set_sweep(sweep.id());
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListJobsResponse jobs,
                            client.Call(&Farm::ListJobs, list));
  PredictSource source;
  source.name = sweep.id();
  source.dataset = sweep.dataset();
  for (const v1::LabelPrevalence& label : dataset.labels()) {
    source.labels.push_back(label.label());
  }
  for (const v1::ModelSpec& spec : sweep.spec().models()) {
    PredictSource::Model& model = source.models.emplace_back();
    model.name = spec.name();
    for (const v1::Job& job : jobs.jobs()) {
      if (job.model() == spec.name()) AddJob(job, model);
    }
    if (spec.arch().has_exec()) {
      model.obstacle = "it is a user's program (arch: exec), which only trains";
    }
  }
  return source;
}

absl::StatusOr<ModelChoice> ChoosePredictingModels(FarmClient& client,
                                                   const PredictSource& source,
                                                   const std::string& models,
                                                   const std::string& weights) {
  const bool own_weights = weights.empty() && models.empty();
  ModelChoice choice;
  if (own_weights) choice.weights = source.weights;
  std::set<std::string> meant;
  absl::string_view count = models;
  if (absl::ConsumePrefix(&count, "greedy:")) {
    FOLDFARM_ASSIGN_OR_RETURN(meant, GrowthModels(client, source, count));
  } else if (!models.empty()) {
    FOLDFARM_ASSIGN_OR_RETURN(meant, NamedModels(source, models));
  } else {
    for (std::string& name : NamesOf(source)) meant.insert(std::move(name));
  }
  for (const PredictSource::Model& model : source.models) {
    if (meant.count(model.name) == 0) continue;
    if (model.obstacle.empty()) {
      choice.names.push_back(model.name);
    } else {
      choice.left_out.emplace_back(model.name, model.obstacle);
      choice.weights.erase(model.name);
    }
  }
  if (choice.names.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "no model of ", source.name, " can predict",
        choice.left_out.empty() ? "" : ": ",
        absl::StrJoin(choice.left_out, "; ", absl::PairFormatter(": "))));
  }
  if (!weights.empty() && weights != "equal") {
    FOLDFARM_RETURN_IF_ERROR(Weigh(client, source, weights, choice));
  }
  return choice;
}

}  // namespace foldfarm
