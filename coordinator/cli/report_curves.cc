// Learning curves; see report_sections.h.
#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/report_charts.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_sections.h"

namespace foldfarm {
namespace {

// Points a line; more would not be seen.
constexpr size_t kPoints = 150;

using Curve = std::map<int, double>;  // By epoch.

// One model's curves, a fold each; folds without the metric are absent.
struct ModelCurves {
  std::string model;
  std::vector<Curve> validation;
  std::vector<Curve> train;
  int epochs = 0;  // The goal.
};

Curve CurveOf(const v1::GetMetricsResponse& metrics, const std::string& name) {
  Curve curve;
  for (const v1::EpochMetrics& epoch : metrics.epochs()) {
    const auto value = epoch.values().find(name);
    if (value != epoch.values().end() && std::isfinite(value->second)) {
      curve[epoch.epoch()] = value->second;
    }
  }
  return curve;
}

// In the order in which the models appear.
std::vector<ModelCurves> CurvesOf(const ReportData& data) {
  std::vector<ModelCurves> all;
  for (const JobRecord& job : data.jobs) {
    const std::string& name = job.details.job().model();
    auto model =
        std::find_if(all.begin(), all.end(),
                     [&](const ModelCurves& one) { return one.model == name; });
    if (model == all.end()) {
      all.push_back({.model = name});
      model = all.end() - 1;
    }
    model->epochs = std::max(model->epochs, job.details.job().epochs());
    Curve validation = CurveOf(job.metrics, "log_loss");
    Curve train = CurveOf(job.metrics, "train_loss");
    if (!validation.empty()) model->validation.push_back(std::move(validation));
    if (!train.empty()) model->train.push_back(std::move(train));
  }
  all.erase(std::remove_if(all.begin(), all.end(),
                           [](const ModelCurves& one) {
                             return one.validation.empty() && one.train.empty();
                           }),
            all.end());
  return all;
}

// At epochs that all folds have, so that the mean never jumps when one ends.
Curve MeanOf(const std::vector<Curve>& folds) {
  Curve mean;
  if (folds.empty()) return mean;
  for (const auto& [epoch, value] : folds[0]) {
    double sum = 0;
    size_t count = 0;
    for (const Curve& fold : folds) {
      const auto other = fold.find(epoch);
      if (other == fold.end()) break;
      sum += other->second;
      ++count;
    }
    if (count == folds.size()) mean[epoch] = sum / static_cast<double>(count);
  }
  return mean;
}

std::vector<Point> PointsOf(const Curve& curve) {
  std::vector<Point> points;
  for (const auto& [epoch, value] : curve) points.push_back({epoch, value});
  return Thin(points, kPoints);
}

void AddSeries(const std::vector<Curve>& folds, const std::string& name,
               int look, LineChart& chart) {
  const Curve mean = MeanOf(folds);
  const bool has_mean = !mean.empty() && folds.size() > 1;
  for (const Curve& fold : folds) {
    chart.series.push_back({.name = "",
                            .points = PointsOf(fold),
                            .look = look,
                            .weight = has_mean ? LineSeries::Weight::kFaint
                                               : LineSeries::Weight::kBold});
  }
  if (!has_mean) {
    if (!folds.empty()) chart.series.back().name = name;
    return;
  }
  chart.series.push_back({.name = name,
                          .points = PointsOf(mean),
                          .look = look,
                          .weight = LineSeries::Weight::kBold});
}

// What most values lie in, for all charts alike; on a log scale, hence above 0.
std::pair<double, double> RangeOfAll(const std::vector<ModelCurves>& models) {
  std::vector<double> values;
  for (const ModelCurves& model : models) {
    for (const auto* folds : {&model.validation, &model.train}) {
      for (const Curve& fold : *folds) {
        for (const auto& [epoch, value] : fold) {
          if (value > 0) values.push_back(value);
        }
      }
    }
  }
  if (values.empty()) return {0.1, 1};
  std::sort(values.begin(), values.end());
  const size_t cut = values.size() / 200;
  const double low = values[cut];
  const double high = values[values.size() - 1 - cut];
  return {low / 1.1, std::max(high, low) * 1.1};
}

struct Extremes {
  std::string first = "-", last = "-", least = "-", at = "-";
};
Extremes ExtremesOf(const Curve& curve) {
  if (curve.empty()) return {};
  const auto least = std::min_element(
      curve.begin(), curve.end(),
      [](const auto& a, const auto& b) { return a.second < b.second; });
  return {FormatScore(curve.begin()->second),
          FormatScore(curve.rbegin()->second), FormatScore(least->second),
          absl::StrCat(least->first)};
}

}  // namespace

std::string CurvesSection(const ReportData& data) {
  const std::vector<ModelCurves> models = CurvesOf(data);
  if (models.empty()) return "";
  const std::pair<double, double> range = RangeOfAll(models);
  HtmlTable table("Learning curves in figures, means over folds",
                  {{"Model"},
                   {"Folds", true},
                   {"Epochs", true},
                   {"Train loss, last", true},
                   {"Log loss, first", true},
                   {"Last", true},
                   {"Least", true},
                   {"At epoch", true}});
  std::string charts = "<div class=\"multiples\">";
  for (const ModelCurves& model : models) {
    const Curve validation = MeanOf(model.validation);
    const Curve train = MeanOf(model.train);
    const Extremes v = ExtremesOf(validation);
    const size_t folds = std::max(model.validation.size(), model.train.size());
    int last = 0;
    for (const auto* all : {&model.validation, &model.train}) {
      for (const Curve& fold : *all)
        last = std::max(last, fold.rbegin()->first);
    }
    table.AddRow({model.model, absl::StrCat(folds),
                  last == model.epochs
                      ? absl::StrCat(last)
                      : absl::StrCat(last, " of ", model.epochs),
                  ExtremesOf(train).last, v.first, v.last, v.least, v.at});
    LineChart chart;
    chart.title = absl::StrCat("Learning curves of ", model.model);
    chart.description =
        absl::StrCat("Held-out log loss, mean of ", FormatPlural(folds, "fold"),
                     ": ", v.first, " at first, ", v.least, " at least (epoch ",
                     v.at, "), ", v.last, " at last.");
    chart.x_name = "epoch";
    chart.y_name = "loss";
    chart.width = 320;
    chart.height = 230;
    chart.log_y = true;
    chart.whole_x = true;
    chart.x_range = {std::min(1, last - 1), std::max(2, last)};
    chart.y_range = range;
    AddSeries(model.train, "train", 1, chart);
    AddSeries(model.validation, "held out", 0, chart);
    charts += Figure(DrawLineChart(chart), model.model, "small");
  }
  charts += "</div>\n";
  return Section(
      "curves", "Learning curves",
      absl::StrCat(
          Paragraph(
              "Thin lines are folds, bold ones their mean, as far as all "
              "folds have come. Held out: log loss of the fold's samples, "
              "one draw a sample, clipped to 0.001. Train: the loss that "
              "was made small, as each model defines it. All charts have "
              "the same log scale; values beyond it lie on its edge.",
              "quiet"),
          charts, table.Render()));
}

}  // namespace foldfarm
