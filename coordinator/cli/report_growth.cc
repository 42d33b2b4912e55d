// The ensemble's growth and the models' correlation; see report_sections.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/report_charts.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_sections.h"

namespace foldfarm {
namespace {

using Steps = google::protobuf::RepeatedPtrField<v1::GrowthStep>;

// `count`: models in the ensemble after the first step; `change`: what a step
// adds to it.
LineSeries SeriesOf(const Steps& steps, const std::string& name, int look,
                    int count, int change) {
  LineSeries series;
  series.name = name;
  series.look = look;
  for (const v1::GrowthStep& step : steps) {
    series.points.push_back({count, step.log_loss()});
    count += change;
  }
  series.dots = series.points.size() <= 40;
  return series;
}

HtmlCell ChangeCell(double change) {
  if (std::isnan(change)) return "";
  return HtmlCell(FormatSigned(change), change < 0 ? "good" : "bad");
}

std::string StepsTable(const Steps& steps, const std::string& caption,
                       const std::string& what, int count, int change) {
  HtmlTable table(
      caption,
      {{"Models", true}, {what}, {"Log loss", true}, {"Change", true}});
  double last = std::numeric_limits<double>::quiet_NaN();
  for (const v1::GrowthStep& step : steps) {
    table.AddRow({absl::StrCat(count), step.model(),
                  FormatScore(step.log_loss()),
                  ChangeCell(step.log_loss() - last)});
    last = step.log_loss();
    count += change;
  }
  return table.Render();
}

std::string GrowthFigure(const v1::GetEnsembleResponse& reply) {
  LineChart chart;
  chart.title = "Log loss of the ensemble by number of models";
  const v1::GrowthStep& first = reply.growth(0);
  const auto best =
      std::min_element(reply.growth().begin(), reply.growth().end(),
                       [](const v1::GrowthStep& a, const v1::GrowthStep& b) {
                         return a.log_loss() < b.log_loss();
                       });
  chart.description = absl::StrCat(
      "From ", FormatScore(first.log_loss()), " with ", first.model(),
      " alone to ", FormatScore(best->log_loss()), " with ",
      best - reply.growth().begin() + 1, " models, the least, and ",
      FormatScore(reply.growth().rbegin()->log_loss()), " with all ",
      reply.growth_size(), ". The table has every step.");
  chart.x_name = "models in the ensemble";
  chart.y_name = "log loss";
  chart.whole_x = true;
  chart.series.push_back(SeriesOf(reply.growth(), "growth", 0, 1, 1));
  chart.series.back().weight = LineSeries::Weight::kBold;
  if (!reply.growth_with_replacement().empty()) {
    chart.series.push_back(
        SeriesOf(reply.growth_with_replacement(), "with replacement", 1, 1, 1));
  }
  if (!reply.elimination().empty()) {
    chart.series.push_back(SeriesOf(reply.elimination(), "elimination", 2,
                                    reply.models_size() - 1, -1));
  }
  return Figure(DrawLineChart(chart), chart.description);
}

std::string TtaFigure(const v1::GetEnsembleResponse& reply) {
  if (reply.tta_size() < 2) return "";
  LineChart chart;
  chart.title = "Log loss of the ensemble by number of draws a sample";
  chart.description =
      absl::StrCat("From ", FormatScore(reply.tta(0).log_loss()), " with ",
                   FormatPlural(reply.tta(0).draws(), "draw"), " a sample to ",
                   FormatScore(reply.tta().rbegin()->log_loss()), " with ",
                   reply.tta().rbegin()->draws(), ".");
  chart.x_name = "draws a sample (TTA)";
  chart.y_name = "log loss";
  chart.whole_x = true;
  chart.log_x = true;
  LineSeries series{.name = "", .points = {}, .dots = true};
  series.weight = LineSeries::Weight::kBold;
  HtmlTable table("Log loss by draws a sample",
                  {{"Draws", true}, {"Log loss", true}});
  for (const v1::TtaPoint& point : reply.tta()) {
    series.points.push_back(
        {static_cast<double>(point.draws()), point.log_loss()});
    table.AddRow({absl::StrCat(point.draws()), FormatScore(point.log_loss())});
  }
  chart.series.push_back(std::move(series));
  return absl::StrCat("<div>", Figure(DrawLineChart(chart), chart.description),
                      table.Render(), "</div>");
}

std::string WeightingsTable(const v1::GetEnsembleResponse& reply) {
  if (reply.weightings().empty()) return "";
  HtmlTable table("Ways to weigh the models",
                  {{"Weights"},
                   {"Log loss, fitted on other folds", true},
                   {"Gain over the mean", true},
                   {"95 % interval", true},
                   {"Log loss, fitted on the same", true},
                   {"Models used", true}});
  for (const v1::Weighting& one : reply.weightings()) {
    const auto used = std::count_if(one.weights().begin(), one.weights().end(),
                                    [](double weight) { return weight > 0; });
    table.AddRow(
        {one.name(), FormatScore(one.nested_log_loss()),
         FormatSigned(one.gain()),
         one.has_gain_interval()
             ? absl::StrCat(FormatSigned(one.gain_interval().low()), " to ",
                            FormatSigned(one.gain_interval().high()))
             : "",
         FormatScore(one.log_loss()), absl::StrCat(used)});
  }
  return table.Render();
}

std::string ShrinkTable(const v1::GetEnsembleResponse& reply) {
  if (reply.shrink().empty()) return "";
  HtmlTable table(
      "The shrink constant that fits best, and what choosing it gains on "
      "other folds",
      {{"Samples"},
       {"Best constant", true},
       {"Log loss as shrunk", true},
       {"Fitted on other folds", true}});
  for (const v1::ShrinkFit& fit : reply.shrink()) {
    table.AddRow({fit.instrument_type().empty() ? "all" : fit.instrument_type(),
                  FormatScore(fit.constant()), FormatScore(fit.log_loss()),
                  FormatScore(fit.nested_log_loss())});
  }
  return table.Render();
}

}  // namespace

std::string GrowthSection(const ReportData& data) {
  const v1::GetEnsembleResponse& reply = data.ensemble;
  if (reply.growth().empty()) return "";
  std::string html = "<div class=\"columns\">";
  html += absl::StrCat("<div>", GrowthFigure(reply), "</div>");
  html += TtaFigure(reply);
  html += StepsTable(reply.growth(), "Growth, the most helpful model first",
                     "Added", 1, 1);
  if (!reply.elimination().empty()) {
    html += StepsTable(reply.elimination(), "Elimination, from all models on",
                       "Left out", reply.models_size() - 1, -1);
  }
  if (!reply.growth_with_replacement().empty()) {
    html += StepsTable(reply.growth_with_replacement(),
                       "Growth that may take a model again", "Added", 1, 1);
  }
  html += "</div>\n";
  html += WeightingsTable(reply);
  html += ShrinkTable(reply);
  return Section("growth", "How the ensemble grows", html);
}

std::string CorrelationSection(const ReportData& data) {
  const v1::GetEnsembleResponse& reply = data.ensemble;
  const int count = reply.models_size();
  const bool there =
      count > 1 && std::all_of(reply.models().begin(), reply.models().end(),
                               [&](const v1::ModelScores& model) {
                                 return model.correlations_size() == count;
                               });
  if (!there) return "";
  HeatMap map;
  map.title = "Correlation of every model with every other";
  std::vector<HtmlColumn> columns = {{"Model"}};
  for (const v1::ModelScores& model : reply.models()) {
    map.rows.push_back(model.model());
    columns.push_back({model.model(), true});
  }
  map.columns = map.rows;
  HtmlTable table("Pearson's correlation of out-of-fold probabilities",
                  columns);
  double least = 2, most = -2;
  std::string least_pair, most_pair;
  for (int i = 0; i < count; ++i) {
    std::vector<HtmlCell> cells = {reply.models(i).model()};
    for (int j = 0; j < count; ++j) {
      const double value = reply.models(i).correlations(j);
      const std::string pair = absl::StrCat(reply.models(i).model(), " and ",
                                            reply.models(j).model());
      map.values.push_back(i == j ? std::numeric_limits<double>::quiet_NaN()
                                  : value);
      map.words.push_back(absl::StrCat(pair, ": ", FormatScore(value)));
      // Only where a figure fits with all its digits.
      map.marks.push_back(count <= 8 ? FormatScore(value) : "");
      cells.push_back(FormatScore(value));
      if (i < j && value < least) {
        least = value;
        least_pair = pair;
      }
      if (i < j && value > most) {
        most = value;
        most_pair = pair;
      }
    }
    table.AddRow(cells);
  }
  map.low = least;
  map.high = most;
  map.description =
      absl::StrCat("Least alike are ", least_pair, " (", FormatScore(least),
                   "), most alike ", most_pair, " (", FormatScore(most), ").");
  return Section(
      "correlation", "Which models are alike",
      absl::StrCat(
          Figure(DrawHeatMap(map),
                 absl::StrCat("Pearson's correlation of out-of-fold "
                              "probabilities, models best first. ",
                              map.description),
                 "heat"),
          Details("The correlations as a table", table.Render("dense"))));
}

}  // namespace foldfarm
