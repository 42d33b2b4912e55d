// A picture that is drawn on and becomes a PNG: text, lines, cells of colour.
//
// Pixels count from the upper left. Colours of text are greys, 0 black to 1
// white. Not thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_CANVAS_H_
#define FOLDFARM_COORDINATOR_CLI_CANVAS_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

typedef struct _cairo cairo_t;
typedef struct _cairo_surface cairo_surface_t;

namespace foldfarm {

struct Rgb {
  unsigned char red = 0, green = 0, blue = 0;
};

// Between two colours, the second at `share` 1.
Rgb Blend(Rgb a, Rgb b, double share);

struct PixelRect {
  int x = 0, y = 0, width = 0, height = 0;
};

inline constexpr double kInkBlack = 0.1, kInkGrey = 0.42;

// A round distance between ticks, at most `count` of them over `span`.
double TickStep(double span, int count);

class Canvas {
 public:
  enum class Align { kLeft, kCentre, kRight };

  // White. Errors: INTERNAL when the graphics library fails.
  static absl::StatusOr<std::unique_ptr<Canvas>> Create(int width, int height);

  void Font(double size, bool bold = false);
  double TextWidth(const std::string& text);
  // Text with its base line at y, cut to `room` pixels; returns where it ends.
  double Text(double x, double y, std::string text, double grey,
              Align align = Align::kLeft, double room = 1e9);
  // Grey, one pixel wide.
  void Line(double x0, double y0, double x1, double y1);
  // A grey line around the rectangle.
  void Frame(const PixelRect& rect);
  // Fills the rectangle with rows x columns cells, the first row at the bottom.
  // REQUIRES: its height and width are multiples of these.
  void Cells(const PixelRect& rect, int rows, int columns,
             absl::FunctionRef<Rgb(int row, int column)> colour);
  // A circle around a point, dark on a light rim so that it shows on any
  // colour.
  void Ring(double x, double y, double radius);
  // A small text in a light box, its middle at (x, y).
  void Tag(double x, double y, const std::string& text);

  // The PNG's bytes. Errors: INTERNAL when anything failed on the way.
  absl::StatusOr<std::string> Png();

 private:
  Canvas(cairo_surface_t* surface, cairo_t* cairo);
  std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)> surface_;
  std::unique_ptr<cairo_t, void (*)(cairo_t*)> cairo_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_CANVAS_H_
