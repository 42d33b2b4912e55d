// Line charts; see report_charts.h.
#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/number_text.h"
#include "coordinator/cli/report_charts.h"

namespace foldfarm {
namespace {

using Anchor = Svg::Anchor;

// Room around the plot, in the drawing's units.
constexpr double kLeft = 52;
constexpr double kRight = 14;
constexpr double kTop = 10;
constexpr double kBottom = 40;
constexpr double kLegendLine = 17;
// A letter's width, for the legend's lines; the fonts are not known.
constexpr double kLegendLetter = 6.6;

std::string LookClass(const LineSeries& series) {
  const char* weight = series.weight == LineSeries::Weight::kBold    ? " bold"
                       : series.weight == LineSeries::Weight::kFaint ? " faint"
                                                                     : "";
  return absl::StrCat("line c", series.look % kSeriesColours, " d",
                      series.look % kSeriesColours, weight);
}

std::pair<double, double> XRange(const LineChart& chart) {
  if (chart.x_range.has_value()) return *chart.x_range;
  std::vector<double> all;
  for (const LineSeries& series : chart.series) {
    for (const Point& point : series.points) all.push_back(point.first);
  }
  auto range = RangeOf(all, 0);
  if (range.first >= range.second) range.second = range.first + 1;
  return range;
}

std::pair<double, double> YRange(const LineChart& chart) {
  if (chart.y_range.has_value()) return *chart.y_range;
  std::vector<double> all;
  for (const LineSeries& series : chart.series) {
    for (const Point& point : series.points) all.push_back(point.second);
  }
  for (const ReferenceLine& line : chart.references) all.push_back(line.y);
  return RangeOf(all, 0.06);
}

// The legend's entries, broken into lines that fit.
std::vector<std::vector<const LineSeries*>> LegendLines(const LineChart& chart,
                                                        double width) {
  std::vector<std::vector<const LineSeries*>> lines;
  double used = width;
  for (const LineSeries& series : chart.series) {
    if (series.name.empty()) continue;
    const double need =
        40 + kLegendLetter * static_cast<double>(series.name.size());
    if (used + need > width || lines.empty()) {
      lines.emplace_back();
      used = 0;
    }
    lines.back().push_back(&series);
    used += need;
  }
  return lines;
}

}  // namespace

std::string DrawLineChart(const LineChart& chart) {
  const auto legend = LegendLines(chart, chart.width - kLeft - kRight);
  const double bottom =
      chart.height - kBottom - kLegendLine * static_cast<double>(legend.size());
  const auto [x_low, x_high] = XRange(chart);
  const auto [y_low, y_high] = YRange(chart);
  const Axis x(x_low, x_high, kLeft, chart.width - kRight, chart.log_x);
  const Axis y(y_low, y_high, bottom, kTop, chart.log_y);
  Svg svg(chart.width, chart.height, chart.title, chart.description);
  for (const double tick : y.Ticks(5)) {
    svg.Line({kLeft, y.At(tick)}, {chart.width - kRight, y.At(tick)}, "grid");
    svg.Text({kLeft - 6, y.At(tick) + 4}, TickText(tick), "tick", Anchor::kEnd);
  }
  for (const double tick : x.Ticks(chart.width > 350 ? 8 : 5)) {
    if (chart.whole_x && std::abs(tick - std::round(tick)) > 1e-9) continue;
    svg.Line({x.At(tick), bottom}, {x.At(tick), bottom + 4}, "axis");
    svg.Text({x.At(tick), bottom + 17}, TickText(tick), "tick",
             Anchor::kMiddle);
  }
  svg.Line({kLeft, bottom}, {chart.width - kRight, bottom}, "axis");
  svg.Text({(kLeft + chart.width - kRight) / 2, bottom + 34}, chart.x_name,
           "name", Anchor::kMiddle);
  svg.Text({13, (kTop + bottom) / 2}, chart.y_name, "name", Anchor::kMiddle,
           -90);
  for (const ReferenceLine& line : chart.references) {
    svg.Line({kLeft, y.At(line.y)}, {chart.width - kRight, y.At(line.y)},
             "reference");
    // Below its line where there is no room above.
    const double at = y.At(line.y);
    svg.Text({chart.width - kRight, at < kTop + 16 ? at + 14 : at - 5},
             line.name, "tick", Anchor::kEnd);
  }
  for (const LineSeries& series : chart.series) {
    std::vector<Point> drawn;
    for (const auto& [px, py] : series.points) {
      drawn.push_back({x.At(px), y.At(py)});
    }
    svg.Polyline(drawn, LookClass(series));
    for (const Point& point : drawn) {
      const bool there = !std::isnan(point.second);
      // A line of one point would not be seen.
      if (there && (series.dots || drawn.size() == 1)) {
        svg.Circle(point, 3,
                   absl::StrCat("dot c", series.look % kSeriesColours));
      }
    }
  }
  double at_y = bottom + kBottom + 10;
  for (const auto& line : legend) {
    double at_x = kLeft;
    for (const LineSeries* series : line) {
      svg.Line({at_x, at_y - 4}, {at_x + 24, at_y - 4}, LookClass(*series));
      svg.Text({at_x + 29, at_y}, series->name, "legend");
      at_x += 40 + kLegendLetter * static_cast<double>(series->name.size());
    }
    at_y += kLegendLine;
  }
  return std::move(svg).Finish();
}

std::vector<Point> Thin(absl::Span<const Point> points, size_t limit) {
  if (points.size() <= limit) return {points.begin(), points.end()};
  std::vector<Point> out;
  for (size_t i = 0; i < limit; ++i) {
    const size_t begin = i * points.size() / limit;
    const size_t end = (i + 1) * points.size() / limit;
    Point sum = {0, 0};
    for (size_t k = begin; k < end; ++k) {
      sum.first += points[k].first;
      sum.second += points[k].second;
    }
    const auto count = static_cast<double>(end - begin);
    out.push_back({sum.first / count, sum.second / count});
  }
  return out;
}

}  // namespace foldfarm
