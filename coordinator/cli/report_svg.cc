#include "coordinator/cli/report_svg.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/number_text.h"
#include "coordinator/cli/report_html.h"

namespace foldfarm {
namespace {

std::string Xy(absl::string_view x, absl::string_view y, Point at) {
  return absl::StrCat(" ", x, "=\"", SvgNumber(at.first), "\" ", y, "=\"",
                      SvgNumber(at.second), "\"");
}

}  // namespace

std::string SvgNumber(double value) {
  return WithoutTrailingZeros(absl::StrFormat("%.1f", value));
}

Svg::Svg(double width, double height, absl::string_view title,
         absl::string_view description)
    : svg_(absl::StrCat("<svg viewBox=\"0 0 ", SvgNumber(width), " ",
                        SvgNumber(height), "\" role=\"img\"><title>",
                        EscapeHtml(title), "</title><desc>",
                        EscapeHtml(description), "</desc>\n")) {}

void Svg::Line(Point from, Point to, absl::string_view css) {
  absl::StrAppend(&svg_, "<line", Xy("x1", "y1", from), Xy("x2", "y2", to),
                  " class=\"", css, "\"/>\n");
}

void Svg::Polyline(absl::Span<const Point> points, absl::string_view css) {
  std::string path;
  bool pen_down = false;
  for (const auto& [x, y] : points) {
    if (std::isnan(x) || std::isnan(y)) {
      pen_down = false;
      continue;
    }
    absl::StrAppend(&path, pen_down ? "L" : "M", SvgNumber(x), ",",
                    SvgNumber(y));
    pen_down = true;
  }
  if (path.empty()) return;
  absl::StrAppend(&svg_, "<path d=\"", path, "\" class=\"", css, "\"/>\n");
}

void Svg::Rect(Point corner, double width, double height,
               absl::string_view css) {
  absl::StrAppend(&svg_, "<rect", Xy("x", "y", corner),
                  Xy("width", "height", {width, height}), " class=\"", css,
                  "\"/>\n");
}

void Svg::Patch(Point corner, double width, double height,
                absl::string_view colour, absl::string_view words) {
  absl::StrAppend(&svg_, "<rect", Xy("x", "y", corner),
                  Xy("width", "height", {width, height}), " fill=\"", colour,
                  "\"><title>", EscapeHtml(words), "</title></rect>\n");
}

void Svg::Circle(Point centre, double radius, absl::string_view css) {
  absl::StrAppend(&svg_, "<circle", Xy("cx", "cy", centre), " r=\"",
                  SvgNumber(radius), "\" class=\"", css, "\"/>\n");
}

void Svg::Text(Point at, absl::string_view text, absl::string_view css,
               Anchor anchor, double degrees) {
  absl::StrAppend(
      &svg_, "<text", Xy("x", "y", at), " class=\"", css, "\"",
      anchor == Anchor::kMiddle ? " text-anchor=\"middle\""
      : anchor == Anchor::kEnd  ? " text-anchor=\"end\""
                                : "",
      degrees == 0
          ? ""
          : absl::StrCat(" transform=\"rotate(", SvgNumber(degrees), " ",
                         SvgNumber(at.first), " ", SvgNumber(at.second), ")\""),
      ">", EscapeHtml(text), "</text>\n");
}

std::string Svg::Finish() && {
  svg_ += "</svg>";
  return std::move(svg_);
}

Axis::Axis(double low, double high, double from, double to, bool log)
    : low_(low), high_(high), from_(from), to_(to), log_(log) {}

double Axis::At(double value) const {
  const double inside = std::clamp(value, low_, high_);
  const double share = log_ ? std::log(inside / low_) / std::log(high_ / low_)
                            : (inside - low_) / (high_ - low_);
  return from_ + share * (to_ - from_);
}

std::vector<double> Axis::Ticks(int wanted) const {
  std::vector<double> ticks;
  // Rounding must not lose the ends.
  const double slack = 1e-9 * (high_ - low_);
  if (log_) {
    // Whole decades when there are enough of them, else 1-2-5 of each.
    const bool decades = std::log10(high_ / low_) >= wanted;
    for (double decade = std::pow(10, std::floor(std::log10(low_)));
         decade <= high_ + slack; decade *= 10) {
      for (const double digit : {1.0, 2.0, 5.0}) {
        if (decades && digit > 1) continue;
        const double tick = decade * digit;
        if (tick >= low_ - slack && tick <= high_ + slack) {
          ticks.push_back(tick);
        }
      }
    }
    return ticks;
  }
  const double rough = (high_ - low_) / std::max(1, wanted);
  const double decade = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * decade;
  for (const double digit : {1.0, 2.0, 5.0}) {
    if (digit * decade >= rough * 0.999) {
      step = digit * decade;
      break;
    }
  }
  for (auto i = static_cast<int64_t>(std::ceil((low_ - slack) / step));
       static_cast<double>(i) * step <= high_ + slack; ++i) {
    ticks.push_back(static_cast<double>(i) * step);
  }
  return ticks;
}

std::pair<double, double> RangeOf(absl::Span<const double> values,
                                  double margin) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  if (low > high) return {0, 1};
  const double span = high - low;
  const double extra =
      span > 0 ? span * margin : std::max(1e-3, std::abs(low) * 0.05);
  return {low - extra, high + extra};
}

}  // namespace foldfarm
