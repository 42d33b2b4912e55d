// Heat maps and reliability diagrams; see report_charts.h.
#include <algorithm>
#include <array>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/number_text.h"
#include "coordinator/cli/report_charts.h"

namespace foldfarm {
namespace {

using Anchor = Svg::Anchor;
using Rgb = std::array<double, 3>;

// From pale to dark blue, even in lightness: it reads the same without colour,
// and takes little ink where values are low.
constexpr std::array<Rgb, 5> kRamp = {{{247, 251, 255},
                                       {198, 219, 239},
                                       {107, 164, 212},
                                       {38, 102, 170},
                                       {8, 48, 107}}};

Rgb RampColour(double share) {
  const double place =
      std::clamp(share, 0.0, 1.0) * static_cast<double>(kRamp.size() - 1);
  const size_t below = std::min(static_cast<size_t>(place), kRamp.size() - 2);
  Rgb colour;
  for (size_t i = 0; i < 3; ++i) {
    colour[i] = kRamp[below][i] + (place - static_cast<double>(below)) *
                                      (kRamp[below + 1][i] - kRamp[below][i]);
  }
  return colour;
}

std::string Hex(const Rgb& colour) {
  return absl::StrFormat("#%02x%02x%02x", std::lround(colour[0]),
                         std::lround(colour[1]), std::lround(colour[2]));
}

size_t LongestOf(const std::vector<std::string>& names) {
  size_t longest = 0;
  for (const std::string& name : names) {
    longest = std::max(longest, DisplayWidth(name));
  }
  return longest;
}

// Names longer than this are cut.
constexpr size_t kLongestName = 22;
constexpr double kLetter = 6.4;

double NameRoom(const std::vector<std::string>& names) {
  return 10 + kLetter *
                  static_cast<double>(std::min(LongestOf(names), kLongestName));
}

}  // namespace

std::string DrawHeatMap(const HeatMap& map) {
  const double left = NameRoom(map.rows);
  // Column names stand upright above their columns.
  const double top = NameRoom(map.columns);
  const double cell = map.columns.size() > 16 ? 22 : 34;
  const double columns = static_cast<double>(map.columns.size());
  const double rows = static_cast<double>(map.rows.size());
  const double scale_top = top + rows * cell + 14;
  const double width = std::max(left + columns * cell + 8, left + 190);
  Svg svg(width, scale_top + 34, map.title, map.description);
  const auto share = [&](double value) {
    return map.high > map.low ? (value - map.low) / (map.high - map.low) : 1;
  };
  for (size_t j = 0; j < map.columns.size(); ++j) {
    const double x = left + (static_cast<double>(j) + 0.5) * cell;
    svg.Text({x + 4, top - 5}, Truncate(map.columns[j], kLongestName), "tick",
             Anchor::kStart, -90);
  }
  for (size_t i = 0; i < map.rows.size(); ++i) {
    const double y = top + static_cast<double>(i) * cell;
    svg.Text({left - 6, y + cell / 2 + 4}, Truncate(map.rows[i], kLongestName),
             "tick", Anchor::kEnd);
    for (size_t j = 0; j < map.columns.size(); ++j) {
      const size_t at = i * map.columns.size() + j;
      const double x = left + static_cast<double>(j) * cell;
      if (std::isnan(map.values[at])) {
        svg.Rect({x, y}, cell - 1, cell - 1, "empty");
        continue;
      }
      svg.Patch({x, y}, cell - 1, cell - 1,
                Hex(RampColour(share(map.values[at]))), map.words[at]);
      if (!map.marks[at].empty()) {
        svg.Text({x + cell / 2 - 0.5, y + cell / 2 + 3}, map.marks[at],
                 share(map.values[at]) > 0.55 ? "mark light" : "mark dark",
                 Anchor::kMiddle);
      }
    }
  }
  // The scale: what the colours mean.
  constexpr int kSteps = 24;
  for (int i = 0; i < kSteps; ++i) {
    const double part = (i + 0.5) / kSteps;
    const double value = map.low + part * (map.high - map.low);
    svg.Patch({left + i * 6.0, scale_top}, 6.2, 10, Hex(RampColour(part)),
              FormatScore(value));
  }
  svg.Text({left, scale_top + 24}, FormatScore(map.low), "tick");
  svg.Text({left + kSteps * 6, scale_top + 24}, FormatScore(map.high), "tick",
           Anchor::kEnd);
  return std::move(svg).Finish();
}

std::string DrawReliability(const Calibration& calibration,
                            const std::string& title,
                            const std::string& description) {
  constexpr double kLeft = 40, kRight = 10, kTop = 8, kSide = 190;
  constexpr double kBarTop = kTop + kSide + 8, kBarHeight = 42;
  constexpr double kBottom = kBarTop + kBarHeight;
  const Axis x(0, 1, kLeft, kLeft + kSide);
  const Axis y(0, 1, kTop + kSide, kTop);
  Svg svg(kLeft + kSide + kRight, kBottom + 38, title, description);
  for (const double tick : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    svg.Line({kLeft, y.At(tick)}, {kLeft + kSide, y.At(tick)}, "grid");
    svg.Text({kLeft - 5, y.At(tick) + 4}, TickText(tick), "tick", Anchor::kEnd);
    svg.Text({x.At(tick), kBottom + 15}, TickText(tick), "tick",
             Anchor::kMiddle);
  }
  svg.Line({x.At(0), y.At(0)}, {x.At(1), y.At(1)}, "reference");
  int largest = 1;
  for (const CalibrationBin& bin : calibration.bins) {
    largest = std::max(largest, bin.count);
  }
  std::vector<Point> path;
  for (const CalibrationBin& bin : calibration.bins) {
    if (bin.count == 0) continue;
    const double height =
        kBarHeight * std::sqrt(static_cast<double>(bin.count) / largest);
    svg.Rect({x.At(bin.low) + 1, kBottom - height},
             x.At(bin.high) - x.At(bin.low) - 2, height, "bar");
    path.push_back({x.At(bin.mean_probability), y.At(bin.observed)});
  }
  for (const CalibrationBin& bin : calibration.bins) {
    if (bin.count == 0) continue;
    svg.Line({x.At(bin.mean_probability), y.At(bin.observed_low)},
             {x.At(bin.mean_probability), y.At(bin.observed_high)}, "whisker");
  }
  svg.Polyline(path, "line c0");
  for (const Point& point : path) svg.Circle(point, 3.2, "dot c0");
  svg.Line({kLeft, kBottom}, {kLeft + kSide, kBottom}, "axis");
  svg.Text({kLeft + kSide / 2, kBottom + 32}, "predicted probability", "name",
           Anchor::kMiddle);
  svg.Text({11, kTop + kSide / 2}, "share that has it", "name", Anchor::kMiddle,
           -90);
  return std::move(svg).Finish();
}

}  // namespace foldfarm
