// All figures of the analysis against scikit-learn and numpy, which compute
// them anew from made predictions. Skipped where Python has no scikit-learn
// (Debian: python3-sklearn).
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/subprocess.h"
#include "common/ensemble/analysis.h"
#include "tests/common/ensemble/made_oof.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

int RunPython(std::vector<std::string> arguments, bool quiet) {
  SubprocessOptions options;
  options.argv = std::move(arguments);
  options.argv.insert(options.argv.begin(), "/usr/bin/python3");
  if (!quiet) options.descriptors = {{1, 1}, {2, 2}};
  const auto process = Subprocess::Spawn(options);
  return process.ok() ? (*process)->Wait().exit_status : -1;
}

// NaN is null.
Json Number(double value) { return std::isnan(value) ? Json() : Json(value); }

Json ToJson(const std::optional<Interval>& interval) {
  if (!interval) return Json();
  return Json::array({interval->low, interval->high});
}

// [rows, labels].
Json Rows(absl::Span<const double> values, size_t labels) {
  Json rows = Json::array();
  for (size_t i = 0; i < values.size(); ++i) {
    if (i % labels == 0) rows.push_back(Json::array());
    rows.back().push_back(Number(values[i]));
  }
  return rows;
}

Json ToJson(const OofScores& scores) {
  return {{"log_loss", scores.log_loss},
          {"log_loss_shrink_0002", scores.log_loss_shrink_0002},
          {"log_loss_clip_1e_3", scores.log_loss_clip_1e_3},
          {"log_loss_clip_1e_2", scores.log_loss_clip_1e_2},
          {"accuracy", scores.accuracy},
          {"auc", Number(scores.auc)},
          {"average_precision", Number(scores.average_precision)},
          {"log_loss_interval", ToJson(scores.log_loss_interval)},
          {"accuracy_interval", ToJson(scores.accuracy_interval)},
          {"auc_interval", ToJson(scores.auc_interval)},
          {"average_precision_interval",
           ToJson(scores.average_precision_interval)}};
}

Json ToJson(const std::vector<SelectionStep>& steps) {
  Json list = Json::array();
  for (const SelectionStep& step : steps) {
    list.push_back({step.model, step.log_loss});
  }
  return list;
}

// The figures by model in the matrix's order.
Json Figures(const OofMatrix& oof) {
  const EnsembleAnalysis analysis = AnalyzeEnsemble(oof, {.full = true});
  const size_t num_models = oof.models.size();
  std::vector<size_t> place(num_models);
  for (size_t i = 0; i < num_models; ++i) place[analysis.models[i].model] = i;
  Json figures = {
      {"models", Json::array()},
      {"ensemble", ToJson(analysis.ensemble.scores)},
      {"prior", ToJson(analysis.prior)},
      {"instruments", Json::array()},
      {"growth", ToJson(analysis.growth)},
      {"growth_with_replacement", ToJson(analysis.growth_with_replacement)},
      {"elimination", ToJson(analysis.elimination)},
      {"tta", Json::array()},
      {"shrink", Json::array()},
      {"weightings", Json::array()}};
  for (size_t m = 0; m < num_models; ++m) {
    const ModelAnalysis& model = analysis.models[place[m]];
    Json labels = Json::array();
    for (const OofLabelScores& label : model.labels) {
      labels.push_back({{"label", label.label},
                        {"log_loss", label.log_loss},
                        {"auc", Number(label.auc)}});
    }
    Json correlations = Json::array();
    for (size_t other = 0; other < num_models; ++other) {
      correlations.push_back(model.correlations[place[other]]);
    }
    figures["models"].push_back({{"scores", ToJson(model.scores)},
                                 {"folds", model.fold_log_loss},
                                 {"labels", labels},
                                 {"correlation", model.correlation},
                                 {"correlations", correlations}});
  }
  for (const OofInstrumentScores& instrument : analysis.ensemble.instruments) {
    figures["instruments"].push_back(
        {{"instrument", instrument.instrument_type},
         {"scores", ToJson(instrument.scores)}});
  }
  for (const TtaPoint& point : analysis.tta) {
    figures["tta"].push_back({point.draws, point.log_loss});
  }
  for (const ShrinkFit& fit : analysis.shrink) {
    figures["shrink"].push_back({{"instrument", fit.instrument_type},
                                 {"constant", fit.constant},
                                 {"log_loss", fit.log_loss},
                                 {"nested", Number(fit.nested_log_loss)}});
  }
  for (const Weighting& weighting : analysis.weightings) {
    Json weights = Json::array();
    for (size_t m = 0; m < num_models; ++m) {
      weights.push_back(weighting.weights[place[m]]);
    }
    figures["weightings"].push_back(
        {{"name", weighting.name},
         {"weights", weights},
         {"log_loss", weighting.log_loss},
         {"nested", Number(weighting.nested_log_loss)},
         {"gain", Number(weighting.gain)},
         {"gain_interval", ToJson(weighting.gain_interval)}});
  }
  return figures;
}

Json Case(const OofMatrix& oof) {
  const size_t labels = oof.num_labels();
  const size_t cells = oof.truth.size();
  Json models = Json::array(), draws = Json::array();
  for (const OofModel& model : oof.models) {
    models.push_back(Rows(model.probabilities, labels));
    Json of_model = Json::array();
    for (size_t begin = 0; begin < model.draws.size(); begin += cells) {
      of_model.push_back(
          Rows(absl::MakeConstSpan(model.draws).subspan(begin, cells), labels));
    }
    draws.push_back(of_model);
  }
  return {{"truth", Rows(oof.truth, labels)},
          {"folds", oof.folds},
          {"instruments", oof.instrument_types},
          {"models", models},
          {"draws", draws},
          {"figures", Figures(oof)}};
}

TEST(SklearnTest, ComputesTheSameFigures) {
  if (RunPython({"-c", "import sklearn"}, true) != 0) {
    GTEST_SKIP() << "no scikit-learn here (apt-get install python3-sklearn)";
  }
  const auto folder = MakeTemporaryDirectory("foldfarm-sklearn-");
  ASSERT_TRUE(folder.ok()) << folder.status();
  Json cases;
  cases["whole"] = Case(MadeOof(
      {.models = 4, .samples = 90, .labels = 4, .draws = 5, .seed = 7}));
  // A model that has two labels, one that has one, and one label nobody has.
  OofMatrix partial =
      MadeOof({.models = 3, .samples = 70, .labels = 4, .draws = 2, .seed = 8});
  for (size_t m = 0; m < partial.models.size(); ++m) {
    OofMatrix alone = partial;
    alone.models = {partial.models[m]};
    DropLabel(alone, 3);
    if (m > 0) DropLabel(alone, 1);
    if (m > 1) DropLabel(alone, 0);
    partial.models[m] = alone.models[0];
  }
  ASSERT_TRUE(ValidateOof(partial).ok()) << ValidateOof(partial);
  cases["partial"] = Case(partial);
  // One fold, and probabilities so coarse that most are equal.
  OofMatrix coarse =
      MadeOof({.models = 3, .samples = 60, .folds = 1, .draws = 1, .seed = 9});
  for (OofModel& model : coarse.models) {
    for (std::vector<double>* values : {&model.probabilities, &model.draws}) {
      for (double& p : *values) p = std::round(p * 4) / 4;
    }
  }
  cases["hold-out"] = Case(coarse);
  const std::string path = JoinPath(*folder, "figures.json");
  ASSERT_TRUE(WriteFileAtomically(path, JsonText(cases)).ok());
  EXPECT_EQ(
      RunPython(
          {FOLDFARM_SOURCE_DIR "/tests/common/ensemble/sklearn_check.py", path},
          false),
      0);
  EXPECT_TRUE(RemoveRecursively(*folder).ok());
}

}  // namespace
}  // namespace foldfarm
