// Drawing for the report: a sheet of SVG shapes, and axes.
//
// Looks are classes that the report's style sheet (report_style.h) colours, so
// that one drawing serves light and dark screens and paper.
//
// Not thread-safe, but for the free functions.
#ifndef FOLDFARM_COORDINATOR_CLI_REPORT_SVG_H_
#define FOLDFARM_COORDINATOR_CLI_REPORT_SVG_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace foldfarm {

// x and y, in the data's units or the drawing's.
using Point = std::pair<double, double>;

// One decimal at most, without trailing zeros: "12.5", "7". A tenth of a unit
// is less than anybody sees.
std::string SvgNumber(double value);

// A drawing of `width` x `height` units, as large as its place in the page.
class Svg {
 public:
  // `title` names it, `description` says in words what it shows.
  Svg(double width, double height, absl::string_view title,
      absl::string_view description);

  void Line(Point from, Point to, absl::string_view css);
  // A line through the points; points that are NaN break it.
  void Polyline(absl::Span<const Point> points, absl::string_view css);
  void Rect(Point corner, double width, double height, absl::string_view css);
  // Filled with an own colour, "#rrggbb", and said in words when pointed at.
  void Patch(Point corner, double width, double height,
             absl::string_view colour, absl::string_view words);
  void Circle(Point centre, double radius, absl::string_view css);
  enum class Anchor { kStart, kMiddle, kEnd };
  // `degrees`: turned clockwise about `at`.
  void Text(Point at, absl::string_view text, absl::string_view css,
            Anchor anchor = Anchor::kStart, double degrees = 0);

  std::string Finish() &&;

 private:
  std::string svg_;
};

// Maps the data's values onto a stretch of the drawing.
class Axis {
 public:
  // `low` is drawn at `from`, `high` at `to`; values outside are drawn at the
  // nearer end. REQUIRES: low < high; with `log`, 0 < low.
  Axis(double low, double high, double from, double to, bool log = false);

  double At(double value) const;
  // Round values within the axis, about `wanted` of them.
  std::vector<double> Ticks(int wanted) const;

 private:
  double low_, high_, from_, to_;
  bool log_;
};

// A range that `values` fill, with a margin of `margin` of it on both sides; of
// equal values a little around them. What is not finite does not count; [0, 1]
// when nothing does.
std::pair<double, double> RangeOf(absl::Span<const double> values,
                                  double margin);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_REPORT_SVG_H_
