#include "coordinator/cli/canvas.h"

#include <cairo.h>

#include <cmath>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

constexpr double kFullCircle = 6.283185307179586;

cairo_status_t Append(void* closure, const unsigned char* data,
                      unsigned int size) {
  static_cast<std::string*>(closure)->append(
      reinterpret_cast<const char*>(data), size);
  return CAIRO_STATUS_SUCCESS;
}

}  // namespace

Rgb Blend(Rgb a, Rgb b, double share) {
  const auto mix = [&](unsigned char Rgb::*channel) {
    return static_cast<unsigned char>(
        std::lround(a.*channel * (1 - share) + b.*channel * share));
  };
  return {mix(&Rgb::red), mix(&Rgb::green), mix(&Rgb::blue)};
}

double TickStep(double span, int count) {
  const double least = span / count;
  const double ten = std::pow(10, std::floor(std::log10(least)));
  for (const double digit : {1.0, 2.0, 5.0, 10.0}) {
    // Not to lose a tick to rounding.
    if (digit * ten >= least * (1 - 1e-9)) return digit * ten;
  }
  return 10 * ten;
}

Canvas::Canvas(cairo_surface_t* surface, cairo_t* cairo)
    : surface_(surface, cairo_surface_destroy), cairo_(cairo, cairo_destroy) {}

absl::StatusOr<std::unique_ptr<Canvas>> Canvas::Create(int width, int height) {
  cairo_surface_t* surface =
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
  std::unique_ptr<Canvas> canvas(new Canvas(surface, cairo_create(surface)));
  if (cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS) {
    return absl::InternalError(
        absl::StrCat("cannot make a picture of ", width, " x ", height, ": ",
                     cairo_status_to_string(cairo_surface_status(surface))));
  }
  cairo_set_source_rgb(canvas->cairo_.get(), 1, 1, 1);
  cairo_paint(canvas->cairo_.get());
  return canvas;
}

void Canvas::Font(double size, bool bold) {
  cairo_select_font_face(
      cairo_.get(), "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
      bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
  cairo_set_font_size(cairo_.get(), size);
}

double Canvas::TextWidth(const std::string& text) {
  cairo_text_extents_t extents;
  cairo_text_extents(cairo_.get(), text.c_str(), &extents);
  return extents.x_advance;
}

double Canvas::Text(double x, double y, std::string text, double grey,
                    Align align, double room) {
  if (TextWidth(text) > room) {
    while (!text.empty() && TextWidth(text + "…") > room) {
      // Whole characters: UTF-8 continues with 10xxxxxx.
      while ((text.back() & 0xC0) == 0x80) text.pop_back();
      text.pop_back();
    }
    text += "…";
  }
  const double width = TextWidth(text);
  if (align == Align::kCentre) x -= width / 2;
  if (align == Align::kRight) x -= width;
  cairo_set_source_rgb(cairo_.get(), grey, grey, grey);
  cairo_move_to(cairo_.get(), std::round(x), y);
  cairo_show_text(cairo_.get(), text.c_str());
  return x + width;
}

void Canvas::Line(double x0, double y0, double x1, double y1) {
  cairo_set_source_rgb(cairo_.get(), kInkGrey, kInkGrey, kInkGrey);
  cairo_set_line_width(cairo_.get(), 1);
  cairo_move_to(cairo_.get(), x0, y0);
  cairo_line_to(cairo_.get(), x1, y1);
  cairo_stroke(cairo_.get());
}

void Canvas::Frame(const PixelRect& rect) {
  cairo_set_source_rgb(cairo_.get(), kInkGrey, kInkGrey, kInkGrey);
  cairo_set_line_width(cairo_.get(), 1);
  cairo_rectangle(cairo_.get(), rect.x - 0.5, rect.y - 0.5, rect.width + 1,
                  rect.height + 1);
  cairo_stroke(cairo_.get());
}

void Canvas::Cells(const PixelRect& rect, int rows, int columns,
                   absl::FunctionRef<Rgb(int row, int column)> colour) {
  cairo_surface_flush(surface_.get());
  unsigned char* data = cairo_image_surface_get_data(surface_.get());
  const int stride = cairo_image_surface_get_stride(surface_.get());
  const int high = rect.height / rows, wide = rect.width / columns;
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const Rgb rgb = colour(row, column);
      const uint32_t pixel = static_cast<uint32_t>(rgb.red) << 16 |
                             static_cast<uint32_t>(rgb.green) << 8 | rgb.blue;
      const int y = rect.y + rect.height - (row + 1) * high;
      for (int dy = 0; dy < high; ++dy) {
        auto* line = reinterpret_cast<uint32_t*>(data + (y + dy) * stride);
        for (int dx = 0; dx < wide; ++dx) {
          line[rect.x + column * wide + dx] = pixel;
        }
      }
    }
  }
  cairo_surface_mark_dirty(surface_.get());
}

void Canvas::Ring(double x, double y, double radius) {
  for (const auto& [grey, width] : {std::pair(1.0, 3.5), std::pair(0.0, 1.5)}) {
    cairo_set_source_rgb(cairo_.get(), grey, grey, grey);
    cairo_set_line_width(cairo_.get(), width);
    cairo_new_sub_path(cairo_.get());
    cairo_arc(cairo_.get(), x, y, radius, 0, kFullCircle);
    cairo_stroke(cairo_.get());
  }
}

void Canvas::Tag(double x, double y, const std::string& text) {
  const double width = TextWidth(text);
  cairo_set_source_rgba(cairo_.get(), 1, 1, 1, 0.85);
  cairo_rectangle(cairo_.get(), std::round(x - width / 2) - 3,
                  std::round(y) - 8, std::round(width) + 6, 15);
  cairo_fill(cairo_.get());
  Text(x, std::round(y) + 4, text, 0, Align::kCentre);
}

absl::StatusOr<std::string> Canvas::Png() {
  if (cairo_status(cairo_.get()) != CAIRO_STATUS_SUCCESS) {
    return absl::InternalError(
        absl::StrCat("cannot draw the picture: ",
                     cairo_status_to_string(cairo_status(cairo_.get()))));
  }
  std::string png;
  const cairo_status_t written =
      cairo_surface_write_to_png_stream(surface_.get(), Append, &png);
  if (written != CAIRO_STATUS_SUCCESS) {
    return absl::InternalError(absl::StrCat("cannot write the picture as PNG: ",
                                            cairo_status_to_string(written)));
  }
  return png;
}

}  // namespace foldfarm
