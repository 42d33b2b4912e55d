#include "coordinator/cli/contact_sheet.h"

#include <cairo.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

// Viridis at equal distances.
constexpr Rgb kAnchors[] = {{68, 1, 84},    {71, 44, 122},  {59, 81, 139},
                            {44, 113, 142}, {33, 144, 141}, {39, 173, 129},
                            {92, 200, 99},  {170, 220, 50}, {253, 231, 37}};

// Pixels.
constexpr int kPanelWidth = kPanelColumns * kCellPixels;
constexpr int kPanelHeight = kPanelRows * kCellPixels;
constexpr int kMargin = 24;
constexpr int kLeft = 70;  // Up to the first panel: the m/z axis.
constexpr int kGap = 16;   // Between panels.
constexpr int kHeader = 84;
constexpr int kSectionTitle = 34;
constexpr int kRowTitle = 24;
constexpr int kCaption = 15;
constexpr int kAxis = 26;  // Below a panel: temperatures.
constexpr int kRowGap = 12;
constexpr int kScaleWidth = 320;
constexpr int kScaleHeight = 14;
constexpr int kMinWidth = 2 * kMargin + kScaleWidth + 480;
constexpr int kMaxPixels = 32000;
constexpr int kTick = 4;

constexpr double kTitleSize = 18, kSectionSize = 15, kTextSize = 12,
                 kSmallSize = 10;
constexpr double kBlack = 0.1, kGrey = 0.42;

using Surface = std::unique_ptr<cairo_surface_t, void (*)(cairo_surface_t*)>;

bool HasCaptions(const SheetRow& row) {
  return std::any_of(row.panels.begin(), row.panels.end(),
                     [](const SheetPanel& p) { return !p.caption.empty(); });
}

int RowHeight(const SheetRow& row) {
  return kRowTitle + (HasCaptions(row) ? kCaption : 0) + kPanelHeight + kAxis +
         kRowGap;
}

int SectionHeight(const SheetSection& section) {
  int height = kSectionTitle;
  for (const SheetRow& row : section.rows) height += RowHeight(row);
  return height;
}

int SectionTop(const ContactSheet& sheet, size_t section) {
  int top = kHeader;
  for (size_t i = 0; i < section; ++i) top += SectionHeight(sheet.sections[i]);
  return top;
}

int RowTop(const ContactSheet& sheet, size_t section, size_t row) {
  int top = SectionTop(sheet, section) + kSectionTitle;
  for (size_t i = 0; i < row; ++i) {
    top += RowHeight(sheet.sections[section].rows[i]);
  }
  return top;
}

// A round distance between ticks, at most `count` of them over `span`.
double TickStep(double span, int count) {
  const double least = span / count;
  const double ten = std::pow(10, std::floor(std::log10(least)));
  for (const double digit : {1.0, 2.0, 5.0, 10.0}) {
    // Not to lose a tick to rounding.
    if (digit * ten >= least * (1 - 1e-9)) return digit * ten;
  }
  return 10 * ten;
}

std::string TickText(double value) {
  const double rounded = std::round(value * 1000) / 1000;
  return absl::StrCat(rounded == 0 ? 0 : rounded);
}

// Draws on one sheet.
class Painter {
 public:
  Painter(const ContactSheet& sheet, cairo_surface_t* surface)
      : sheet_(sheet),
        surface_(surface),
        cairo_(cairo_create(surface), cairo_destroy),
        width_(SheetRect(sheet).width) {}

  absl::Status Paint() {
    cairo_set_source_rgb(cairo_.get(), 1, 1, 1);
    cairo_paint(cairo_.get());
    Header();
    for (size_t s = 0; s < sheet_.sections.size(); ++s) Section(s);
    if (cairo_status(cairo_.get()) != CAIRO_STATUS_SUCCESS) {
      return absl::InternalError(
          absl::StrCat("cannot draw the sheet: ",
                       cairo_status_to_string(cairo_status(cairo_.get()))));
    }
    return absl::OkStatus();
  }

 private:
  enum class Align { kLeft, kCentre, kRight };

  void Font(double size, bool bold = false) {
    cairo_select_font_face(
        cairo_.get(), "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
        bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cairo_.get(), size);
  }

  double TextWidth(const std::string& text) {
    cairo_text_extents_t extents;
    cairo_text_extents(cairo_.get(), text.c_str(), &extents);
    return extents.x_advance;
  }

  // Text with its base line at y, cut to `room` pixels; returns where it ends.
  double Text(double x, double y, std::string text, double grey,
              Align align = Align::kLeft, double room = 1e9) {
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

  void Line(double x0, double y0, double x1, double y1) {
    cairo_set_source_rgb(cairo_.get(), kGrey, kGrey, kGrey);
    cairo_set_line_width(cairo_.get(), 1);
    cairo_move_to(cairo_.get(), x0, y0);
    cairo_line_to(cairo_.get(), x1, y1);
    cairo_stroke(cairo_.get());
  }

  // A title with its detail on one line.
  void Titles(double size, double detail_size, double y,
              const std::string& title, const std::string& detail,
              double x = kMargin, double right = kMargin) {
    const double end = width_ - right;
    Font(size, /*bold=*/true);
    const double after = Text(x, y, title, kBlack, Align::kLeft, end - x) + 12;
    Font(detail_size);
    if (end - after > 20) {
      Text(after, y, detail, kGrey, Align::kLeft, end - after);
    }
  }

  void SetPixel(int x, int y, Rgb colour) {
    unsigned char* data = cairo_image_surface_get_data(surface_);
    const int stride = cairo_image_surface_get_stride(surface_);
    auto* pixel = reinterpret_cast<uint32_t*>(data + y * stride) + x;
    *pixel = static_cast<uint32_t>(colour.red) << 16 |
             static_cast<uint32_t>(colour.green) << 8 | colour.blue;
  }

  void Frame(const PixelRect& rect) {
    cairo_set_source_rgb(cairo_.get(), kGrey, kGrey, kGrey);
    cairo_set_line_width(cairo_.get(), 1);
    cairo_rectangle(cairo_.get(), rect.x - 0.5, rect.y - 0.5, rect.width + 1,
                    rect.height + 1);
    cairo_stroke(cairo_.get());
  }

  void Header() {
    const double room_for_scale = kScaleWidth + 2 * kMargin;
    Font(kTitleSize, /*bold=*/true);
    Text(kMargin, 36, sheet_.title, kBlack, Align::kLeft,
         width_ - kMargin - room_for_scale);
    Font(kTextSize);
    Text(kMargin, 58, sheet_.detail, kGrey, Align::kLeft,
         width_ - kMargin - room_for_scale);
    // The colour scale.
    const PixelRect bar = {width_ - kMargin - kScaleWidth, 34, kScaleWidth,
                           kScaleHeight};
    cairo_surface_flush(surface_);
    for (int x = 0; x < bar.width; ++x) {
      const Rgb colour = ScaleColour((x + 0.5) / bar.width);
      for (int y = 0; y < bar.height; ++y) {
        SetPixel(bar.x + x, bar.y + y, colour);
      }
    }
    cairo_surface_mark_dirty(surface_);
    Frame(bar);
    Font(kTextSize);
    Text(bar.x + bar.width, bar.y - 8, sheet_.unit, kBlack, Align::kRight,
         kScaleWidth + kMargin);
    Font(kSmallSize);
    const double span = sheet_.high - sheet_.low;
    if (!(span > 0)) return;
    const double step = TickStep(span, 5);
    for (double value = std::ceil(sheet_.low / step - 1e-9) * step;
         value <= sheet_.high + 1e-9 * span; value += step) {
      const double x =
          bar.x + std::round((value - sheet_.low) / span * bar.width);
      Line(x + 0.5, bar.y + bar.height, x + 0.5, bar.y + bar.height + kTick);
      Text(x, bar.y + bar.height + kTick + 11, TickText(value), kBlack,
           Align::kCentre);
    }
  }

  void Section(size_t s) {
    const SheetSection& section = sheet_.sections[s];
    const int top = SectionTop(sheet_, s);
    Line(kMargin, top + 0.5, width_ - kMargin, top + 0.5);
    Titles(kSectionSize, kTextSize, top + 25, section.title, section.detail);
    for (size_t r = 0; r < section.rows.size(); ++r) {
      const SheetRow& row = section.rows[r];
      Titles(kTextSize, kTextSize, RowTop(sheet_, s, r) + 18, row.title,
             row.detail, kLeft);
      bool first = true;
      for (size_t p = 0; p < row.panels.size(); ++p) {
        if (row.panels[p].values.empty()) continue;
        const PixelRect rect = PanelRect(sheet_, s, r, p);
        Panel(row.panels[p], rect);
        if (first) AxisNames(rect);
        first = false;
      }
    }
  }

  void Panel(const SheetPanel& panel, const PixelRect& rect) {
    const double span = sheet_.high - sheet_.low;
    cairo_surface_flush(surface_);
    for (int mz = 0; mz < kPanelRows; ++mz) {
      for (int k = 0; k < kPanelColumns; ++k) {
        const Rgb colour = ScaleColour(
            (panel.values[mz * kPanelColumns + k] - sheet_.low) / span);
        const int x = rect.x + k * kCellPixels;
        const int y = rect.y + rect.height - (mz + 1) * kCellPixels;
        for (int dy = 0; dy < kCellPixels; ++dy) {
          for (int dx = 0; dx < kCellPixels; ++dx) {
            SetPixel(x + dx, y + dy, colour);
          }
        }
      }
    }
    cairo_surface_mark_dirty(surface_);
    Frame(rect);
    Font(kSmallSize);
    Text(rect.x + rect.width / 2.0, rect.y - 5, panel.caption, kBlack,
         Align::kCentre, rect.width + kGap - 4);
    const double end =
        sheet_.first_celsius + sheet_.step_celsius * (kPanelColumns - 1);
    const double step = TickStep(end - sheet_.first_celsius, 5);
    for (double t = std::ceil(sheet_.first_celsius / step) * step; t <= end;
         t += step) {
      const double column =
          (t - sheet_.first_celsius) / sheet_.step_celsius + 0.5;
      const double x = std::floor(rect.x + column * kCellPixels) + 0.5;
      const double y = rect.y + rect.height;
      Line(x, y, x, y + kTick);
      Text(x, y + kTick + 11, TickText(t), kBlack, Align::kCentre);
    }
  }

  // What the axes are, and the ticks of m/z.
  void AxisNames(const PixelRect& rect) {
    Font(kSmallSize);
    Text(rect.x + rect.width, rect.y + rect.height + kTick + 11, "°C", kBlack,
         Align::kRight);
    for (int mz = 0; mz < kPanelRows; mz += 20) {
      const double y =
          rect.y + rect.height - std::floor((mz + 0.5) * kCellPixels) - 0.5;
      Line(rect.x - kTick, y, rect.x, y);
      Text(rect.x - kTick - 4, y + 3.5, absl::StrCat(mz), kBlack,
           Align::kRight);
    }
    Text(rect.x - kLeft + kMargin, rect.y + rect.height / 2.0 + 3, "m/z",
         kBlack);
  }

  const ContactSheet& sheet_;
  cairo_surface_t* const surface_;  // Borrowed.
  const std::unique_ptr<cairo_t, void (*)(cairo_t*)> cairo_;
  const int width_;
};

absl::Status Check(const ContactSheet& sheet) {
  const PixelRect rect = SheetRect(sheet);
  if (rect.width > kMaxPixels || rect.height > kMaxPixels) {
    return absl::InvalidArgumentError(
        absl::StrCat("the sheet would be ", rect.width, " x ", rect.height,
                     " pixels, expected at most ", kMaxPixels,
                     " either way; ask for fewer draws or samples"));
  }
  for (const SheetSection& section : sheet.sections) {
    for (const SheetRow& row : section.rows) {
      for (const SheetPanel& panel : row.panels) {
        if (!panel.values.empty() &&
            panel.values.size() != kPanelRows * kPanelColumns) {
          return absl::InvalidArgumentError(
              absl::StrCat(row.title, ": a panel has ", panel.values.size(),
                           " values, expected ", kPanelRows * kPanelColumns));
        }
      }
    }
  }
  return absl::OkStatus();
}

cairo_status_t Append(void* closure, const unsigned char* data,
                      unsigned int size) {
  static_cast<std::string*>(closure)->append(
      reinterpret_cast<const char*>(data), size);
  return CAIRO_STATUS_SUCCESS;
}

}  // namespace

Rgb ScaleColour(double share) {
  if (!(share > 0)) share = 0;  // Also what is not a number.
  constexpr int kLast = static_cast<int>(std::size(kAnchors)) - 1;
  const double place = std::min(share, 1.0) * kLast;
  const int below = std::min(static_cast<int>(place), kLast - 1);
  const double rest = place - below;
  const auto blend = [&](unsigned char Rgb::*channel) {
    return static_cast<unsigned char>(
        std::lround(kAnchors[below].*channel * (1 - rest) +
                    kAnchors[below + 1].*channel * rest));
  };
  return {blend(&Rgb::red), blend(&Rgb::green), blend(&Rgb::blue)};
}

PixelRect PanelRect(const ContactSheet& sheet, size_t section, size_t row,
                    size_t panel) {
  const SheetRow& its_row = sheet.sections[section].rows[row];
  return {kLeft + static_cast<int>(panel) * (kPanelWidth + kGap),
          RowTop(sheet, section, row) + kRowTitle +
              (HasCaptions(its_row) ? kCaption : 0),
          kPanelWidth, kPanelHeight};
}

PixelRect SheetRect(const ContactSheet& sheet) {
  size_t panels = 0;
  for (const SheetSection& section : sheet.sections) {
    for (const SheetRow& row : section.rows) {
      panels = std::max(panels, row.panels.size());
    }
  }
  const int width =
      kLeft + static_cast<int>(panels) * (kPanelWidth + kGap) - kGap + kMargin;
  return {0, 0, std::max(width, kMinWidth),
          SectionTop(sheet, sheet.sections.size()) + kMargin / 2};
}

absl::StatusOr<std::string> PaintContactSheet(const ContactSheet& sheet) {
  FOLDFARM_RETURN_IF_ERROR(Check(sheet));
  const PixelRect rect = SheetRect(sheet);
  const Surface surface(
      cairo_image_surface_create(CAIRO_FORMAT_RGB24, rect.width, rect.height),
      cairo_surface_destroy);
  if (cairo_surface_status(surface.get()) != CAIRO_STATUS_SUCCESS) {
    return absl::InternalError(absl::StrCat(
        "cannot make a picture of ", rect.width, " x ", rect.height, ": ",
        cairo_status_to_string(cairo_surface_status(surface.get()))));
  }
  FOLDFARM_RETURN_IF_ERROR(Painter(sheet, surface.get()).Paint());
  std::string png;
  const cairo_status_t written =
      cairo_surface_write_to_png_stream(surface.get(), Append, &png);
  if (written != CAIRO_STATUS_SUCCESS) {
    return absl::InternalError(absl::StrCat("cannot write the sheet as PNG: ",
                                            cairo_status_to_string(written)));
  }
  return png;
}

}  // namespace foldfarm
