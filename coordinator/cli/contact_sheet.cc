#include "coordinator/cli/contact_sheet.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/number_text.h"

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
constexpr double kBlack = kInkBlack, kGrey = kInkGrey;

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

// Draws on one sheet.
class Painter {
 public:
  Painter(const ContactSheet& sheet, Canvas& canvas)
      : sheet_(sheet), canvas_(canvas), width_(SheetRect(sheet).width) {}

  void Paint() {
    Header();
    for (size_t s = 0; s < sheet_.sections.size(); ++s) Section(s);
  }

 private:
  using Align = Canvas::Align;

  // A title with its detail on one line.
  void Titles(double size, double detail_size, double y,
              const std::string& title, const std::string& detail,
              double x = kMargin, double right = kMargin) {
    const double end = width_ - right;
    canvas_.Font(size, /*bold=*/true);
    const double after =
        canvas_.Text(x, y, title, kBlack, Align::kLeft, end - x) + 12;
    canvas_.Font(detail_size);
    if (end - after > 20) {
      canvas_.Text(after, y, detail, kGrey, Align::kLeft, end - after);
    }
  }

  void Header() {
    const double room_for_scale = kScaleWidth + 2 * kMargin;
    canvas_.Font(kTitleSize, /*bold=*/true);
    canvas_.Text(kMargin, 36, sheet_.title, kBlack, Align::kLeft,
                 width_ - kMargin - room_for_scale);
    canvas_.Font(kTextSize);
    canvas_.Text(kMargin, 58, sheet_.detail, kGrey, Align::kLeft,
                 width_ - kMargin - room_for_scale);
    // The colour scale.
    const PixelRect bar = {width_ - kMargin - kScaleWidth, 34, kScaleWidth,
                           kScaleHeight};
    canvas_.Cells(bar, 1, bar.width, [&](int, int x) {
      return ScaleColour((x + 0.5) / bar.width);
    });
    canvas_.Frame(bar);
    canvas_.Font(kTextSize);
    canvas_.Text(bar.x + bar.width, bar.y - 8, sheet_.unit, kBlack,
                 Align::kRight, kScaleWidth + kMargin);
    canvas_.Font(kSmallSize);
    const double span = sheet_.high - sheet_.low;
    if (!(span > 0)) return;
    const double step = TickStep(span, 5);
    for (double value = std::ceil(sheet_.low / step - 1e-9) * step;
         value <= sheet_.high + 1e-9 * span; value += step) {
      const double x =
          bar.x + std::round((value - sheet_.low) / span * bar.width);
      canvas_.Line(x + 0.5, bar.y + bar.height, x + 0.5,
                   bar.y + bar.height + kTick);
      canvas_.Text(x, bar.y + bar.height + kTick + 11, TickText(value), kBlack,
                   Align::kCentre);
    }
  }

  void Section(size_t s) {
    const SheetSection& section = sheet_.sections[s];
    const int top = SectionTop(sheet_, s);
    canvas_.Line(kMargin, top + 0.5, width_ - kMargin, top + 0.5);
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
    canvas_.Cells(rect, kPanelRows, kPanelColumns, [&](int mz, int k) {
      return ScaleColour((panel.values[mz * kPanelColumns + k] - sheet_.low) /
                         span);
    });
    canvas_.Frame(rect);
    canvas_.Font(kSmallSize);
    canvas_.Text(rect.x + rect.width / 2.0, rect.y - 5, panel.caption, kBlack,
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
      canvas_.Line(x, y, x, y + kTick);
      canvas_.Text(x, y + kTick + 11, TickText(t), kBlack, Align::kCentre);
    }
  }

  // What the axes are, and the ticks of m/z.
  void AxisNames(const PixelRect& rect) {
    canvas_.Font(kSmallSize);
    canvas_.Text(rect.x + rect.width, rect.y + rect.height + kTick + 11, "°C",
                 kBlack, Align::kRight);
    for (int mz = 0; mz < kPanelRows; mz += 20) {
      const double y =
          rect.y + rect.height - std::floor((mz + 0.5) * kCellPixels) - 0.5;
      canvas_.Line(rect.x - kTick, y, rect.x, y);
      canvas_.Text(rect.x - kTick - 4, y + 3.5, absl::StrCat(mz), kBlack,
                   Align::kRight);
    }
    canvas_.Text(rect.x - kLeft + kMargin, rect.y + rect.height / 2.0 + 3,
                 "m/z", kBlack);
  }

  const ContactSheet& sheet_;
  Canvas& canvas_;
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

}  // namespace

Rgb ScaleColour(double share) {
  if (!(share > 0)) share = 0;  // Also what is not a number.
  constexpr int kLast = static_cast<int>(std::size(kAnchors)) - 1;
  const double place = std::min(share, 1.0) * kLast;
  const int below = std::min(static_cast<int>(place), kLast - 1);
  return Blend(kAnchors[below], kAnchors[below + 1], place - below);
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
  FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<Canvas> canvas,
                            Canvas::Create(rect.width, rect.height));
  Painter(sheet, *canvas).Paint();
  return canvas->Png();
}

}  // namespace foldfarm
