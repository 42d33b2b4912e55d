// The report's charts: lines, a heat map, a reliability diagram.
//
// Each returns an SVG drawing. Series differ by colour and by dash pattern, so
// that they can be told apart without colour.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_REPORT_CHARTS_H_
#define FOLDFARM_COORDINATOR_CLI_REPORT_CHARTS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "common/ensemble/calibration.h"
#include "coordinator/cli/report_svg.h"

namespace foldfarm {

// Colours that a series can have; more repeat, with other dashes.
inline constexpr int kSeriesColours = 6;

struct LineSeries {
  // In the legend; empty: not there.
  std::string name;
  // By x; a NaN breaks the line.
  std::vector<Point> points;
  // 0-based; names colour and dashes.
  int look = 0;
  enum class Weight { kNormal, kBold, kFaint } weight = Weight::kNormal;
  // A dot at every point.
  bool dots = false;
};

// A level drawn across a chart: "prior 0.4080".
struct ReferenceLine {
  double y = 0;
  std::string name;
};

struct LineChart {
  std::string title;
  std::string description;
  std::string x_name;
  std::string y_name;
  double width = 460;
  double height = 300;
  bool log_x = false;
  bool log_y = false;
  // Unset: what the series and reference lines need.
  std::optional<std::pair<double, double>> x_range;
  std::optional<std::pair<double, double>> y_range;
  // x counts something: only whole numbers are marked.
  bool whole_x = false;
  std::vector<LineSeries> series;
  std::vector<ReferenceLine> references;
};
std::string DrawLineChart(const LineChart& chart);

// At most `limit` points: means over stretches of as many points each.
// REQUIRES: limit > 0.
std::vector<Point> Thin(absl::Span<const Point> points, size_t limit);

struct HeatMap {
  std::string title;
  std::string description;
  std::vector<std::string> rows;
  std::vector<std::string> columns;
  // [rows, columns]; NaN: no value.
  std::vector<double> values;
  // Drawn lightest and darkest.
  double low = 0;
  double high = 1;
  // A value as it reads when pointed at, and in its cell ("": not written).
  std::vector<std::string> words;
  std::vector<std::string> marks;
};
std::string DrawHeatMap(const HeatMap& map);

// Predicted probability against the share that came true: the diagonal, a dot a
// bin with its interval, and below how many predictions a bin has (the square
// root of the count, so that rare ones can be seen).
std::string DrawReliability(const Calibration& calibration,
                            const std::string& title,
                            const std::string& description);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_REPORT_CHARTS_H_
