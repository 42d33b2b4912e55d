#include "coordinator/cli/bundle_plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/edit_distance.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/ensemble/least_log_loss.h"
#include "common/ensemble/selection.h"
#include "common/ensemble/weightings.h"
#include "coordinator/cli/oof_table.h"

namespace foldfarm {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// What weighs less is beyond what a fit to a few hundred samples can tell, and
// not worth a network's time.
constexpr double kLeastWeight = 1e-3;

// The samples of one instrument, without models.
OofMatrix RowsOf(const OofMatrix& oof, const std::string& instrument,
                 std::vector<double>& probabilities) {
  OofMatrix part;
  part.labels = oof.labels;
  const size_t labels = oof.num_labels();
  std::vector<double> chosen;
  for (size_t i = 0; i < oof.num_samples(); ++i) {
    if (oof.instrument_types[i] != instrument) continue;
    part.sample_ids.push_back(oof.sample_ids[i]);
    part.instrument_types.push_back(instrument);
    part.folds.push_back(oof.folds[i]);
    for (size_t l = 0; l < labels; ++l) {
      part.truth.push_back(oof.truth[i * labels + l]);
      chosen.push_back(probabilities[i * labels + l]);
    }
  }
  probabilities = std::move(chosen);
  return part;
}

Json ScoresJson(const OofScores& scores) {
  return {{"samples", scores.samples},
          {"logLoss", scores.log_loss},
          {"logLossShrink0002", scores.log_loss_shrink_0002},
          {"accuracy", scores.accuracy}};
}

}  // namespace

absl::StatusOr<OofMatrix> FetchComplete(FarmClient& client,
                                        const std::string& sweep) {
  FOLDFARM_ASSIGN_OR_RETURN(OofTable table, FetchOof(client, sweep));
  if (table.oof.models.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no model of ", sweep,
                     " is complete on all folds; see foldfarm status ", sweep));
  }
  FOLDFARM_RETURN_IF_ERROR(ValidateOof(table.oof));
  return std::move(table.oof);
}

absl::StatusOr<BundlePlan> ChooseModels(const OofMatrix& oof,
                                        const std::string& choice) {
  BundlePlan plan;
  absl::string_view count = choice;
  if (choice.empty()) {
    plan.models.resize(oof.models.size());
    std::iota(plan.models.begin(), plan.models.end(), 0);
  } else if (absl::ConsumePrefix(&count, "greedy:")) {
    int models = 0;
    if (!absl::SimpleAtoi(count, &models) || models < 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--models is \"", choice, "\", expected greedy:N with N from 1 on"));
    }
    if (models > static_cast<int>(oof.models.size())) {
      return absl::FailedPreconditionError(
          absl::StrCat("--models is ", choice, ", but only ", oof.models.size(),
                       oof.models.size() == 1 ? " model is" : " models are",
                       " complete on all folds"));
    }
    plan.greedy = true;
    for (const SelectionStep& step : GrowEnsemble(oof)) {
      if (static_cast<int>(plan.models.size()) < models) {
        plan.models.push_back(step.model);
      }
    }
  } else {
    std::vector<std::string> names;
    for (const OofModel& model : oof.models) names.push_back(model.name);
    for (const std::string& name :
         std::vector<std::string>(absl::StrSplit(choice, ','))) {
      const auto found = std::find(names.begin(), names.end(), name);
      if (found == names.end()) {
        const std::string near = Nearest(name, names);
        return absl::NotFoundError(absl::StrCat(
            "no model \"", name, "\" is complete on all folds",
            near.empty()
                ? absl::StrCat("; complete are ", absl::StrJoin(names, ", "))
                : absl::StrCat(" (did you mean \"", near, "\"?)")));
      }
      const auto index = static_cast<size_t>(found - names.begin());
      if (std::find(plan.models.begin(), plan.models.end(), index) ==
          plan.models.end()) {
        plan.models.push_back(index);
      }
    }
  }
  plan.weights.assign(plan.models.size(),
                      1.0 / static_cast<double>(plan.models.size()));
  return plan;
}

std::vector<std::string> WeighModels(const OofMatrix& oof,
                                     const std::string& weights,
                                     BundlePlan& plan) {
  if (weights == "equal") return {};
  OofMatrix chosen = oof;
  chosen.models.clear();
  for (const size_t model : plan.models) {
    chosen.models.push_back(oof.models[model]);
  }
  std::vector<double> found = weights == "greedy"
                                  ? GreedyWeights(chosen)
                                  : MinimizeLogLoss(chosen).weights;
  const auto is_predicted = [&](size_t label) {
    for (size_t i = 0; i < found.size(); ++i) {
      if (found[i] >= kLeastWeight && chosen.models[i].Predicts(label)) {
        return true;
      }
    }
    return false;
  };
  for (size_t i = 0; i < found.size(); ++i) {
    for (size_t l = 0; l < chosen.num_labels(); ++l) {
      if (found[i] < kLeastWeight && chosen.models[i].Predicts(l) &&
          !is_predicted(l)) {
        found[i] = kLeastWeight;
      }
    }
  }
  BundlePlan kept = {.greedy = plan.greedy};
  std::vector<std::string> weightless;
  double sum = 0;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i] < kLeastWeight) {
      weightless.push_back(chosen.models[i].name);
      continue;
    }
    kept.models.push_back(plan.models[i]);
    kept.weights.push_back(found[i]);
    sum += found[i];
  }
  for (double& weight : kept.weights) weight /= sum;
  plan = std::move(kept);
  return weightless;
}

std::vector<double> WeightedMean(const OofMatrix& oof, const BundlePlan& plan) {
  const size_t labels = oof.num_labels();
  std::vector<double> mean(oof.num_samples() * labels, 0.0);
  for (size_t l = 0; l < labels; ++l) {
    double weight = 0;
    for (size_t i = 0; i < plan.models.size(); ++i) {
      if (oof.models[plan.models[i]].Predicts(l)) weight += plan.weights[i];
    }
    for (size_t s = 0; s < oof.num_samples(); ++s) {
      double sum = 0;
      for (size_t i = 0; i < plan.models.size(); ++i) {
        const OofModel& model = oof.models[plan.models[i]];
        if (model.Predicts(l)) {
          sum += plan.weights[i] * model.probabilities[s * labels + l];
        }
      }
      mean[s * labels + l] = weight > 0 ? sum / weight : kNaN;
    }
  }
  return mean;
}

BundleFigures FiguresOf(const OofMatrix& oof, const BundlePlan& plan) {
  BundleFigures figures;
  const std::vector<double> mean = WeightedMean(oof, plan);
  figures.ensemble = Score(oof, mean);
  for (size_t i = 0; i < plan.models.size(); ++i) {
    const OofModel& model = oof.models[plan.models[i]];
    figures.models.push_back({.name = model.name,
                              .weight = plan.weights[i],
                              .scores = Score(oof, model.probabilities)});
  }
  const std::set<std::string> instruments(oof.instrument_types.begin(),
                                          oof.instrument_types.end());
  for (const std::string& instrument : instruments) {
    std::vector<double> its = mean;
    const OofMatrix rows = RowsOf(oof, instrument, its);
    figures.instruments.push_back(
        {.name = instrument, .scores = Score(rows, its)});
  }
  const std::vector<double> by_label = LabelLogLoss(oof, mean);
  for (size_t l = 0; l < oof.num_labels(); ++l) {
    if (std::isnan(by_label[l])) continue;
    BundleFigures::Label label = {.name = oof.labels[l],
                                  .log_loss = by_label[l]};
    for (size_t s = 0; s < oof.num_samples(); ++s) {
      label.positive += oof.truth[s * oof.num_labels() + l] > 0.5 ? 1 : 0;
    }
    figures.labels.push_back(std::move(label));
  }
  figures.folds = *std::max_element(oof.folds.begin(), oof.folds.end()) + 1;
  return figures;
}

std::string FiguresJson(const BundleFigures& figures) {
  Json json = ScoresJson(figures.ensemble);
  const auto add = [&](const char* key, const std::vector<NamedScores>& all) {
    json[key] = Json::object();
    for (const NamedScores& one : all) {
      json[key][one.name] = ScoresJson(one.scores);
    }
  };
  add("models", figures.models);
  add("instruments", figures.instruments);
  json["labels"] = Json::object();
  for (const BundleFigures::Label& label : figures.labels) {
    json["labels"][label.name] = {{"logLoss", label.log_loss},
                                  {"positive", label.positive}};
  }
  return JsonText(json);
}

}  // namespace foldfarm
