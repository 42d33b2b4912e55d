// The picture of an explanation: the spectrum, the map of evidence, a list.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/spectra/sample_table.h"
#include "coordinator/cli/canvas.h"
#include "coordinator/cli/contact_sheet.h"
#include "coordinator/cli/explanation.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/number_text.h"

namespace foldfarm {
namespace {

using Align = Canvas::Align;

// Pixels.
constexpr int kCell = 6;
constexpr int kPanelWidth = kPanelColumns * kCell;
constexpr int kPanelHeight = kPanelRows * kCell;
constexpr int kMargin = 24;
constexpr int kLeft = 74;     // m/z axis of the first panel.
constexpr int kBetween = 62;  // And of the second.
constexpr int kTop = 116;
constexpr int kBottom = 104;
constexpr int kList = 384;
constexpr int kScaleHeight = 14;
constexpr int kTick = 4;
constexpr int kWidth =
    kLeft + 2 * kPanelWidth + kBetween + kMargin + kList + kMargin;
constexpr int kHeight = kTop + kPanelHeight + kBottom;
constexpr PixelRect kSpectrum = {kLeft, kTop, kPanelWidth, kPanelHeight};
constexpr PixelRect kEvidence = {kLeft + kPanelWidth + kBetween, kTop,
                                 kPanelWidth, kPanelHeight};
constexpr double kTitleSize = 19, kHeadSize = 14, kTextSize = 12.5,
                 kSmallSize = 11;
// Peaks that are marked; the list has them all.
constexpr size_t kMarked = 8;
// Of the largest: a smaller peak is not marked.
constexpr double kMarkedShare = 0.1;

// Blue over white to red, readable to the colour-blind. (ColorBrewer's RdBu.)
constexpr Rgb kAnchors[] = {{5, 48, 97},     {67, 147, 195},  {209, 229, 240},
                            {255, 255, 255}, {253, 219, 199}, {214, 96, 77},
                            {103, 0, 31}};

class Painter {
 public:
  Painter(const Explanation& explanation, Canvas& canvas)
      : explanation_(explanation), canvas_(canvas) {
    for (const float value : explanation.evidence) {
      largest_ = std::max(largest_, std::abs(static_cast<double>(value)));
    }
    if (!(largest_ > 0)) largest_ = 1;
  }

  void Paint() {
    Titles();
    canvas_.Cells(kSpectrum, kPanelRows, kPanelColumns, [&](int mz, int k) {
      return ScaleColour(explanation_.image[mz * kPanelColumns + k]);
    });
    canvas_.Cells(kEvidence, kPanelRows, kPanelColumns, [&](int mz, int k) {
      return EvidenceColour(explanation_.evidence[mz * kPanelColumns + k] /
                            largest_);
    });
    for (const PixelRect& panel : {kSpectrum, kEvidence}) {
      Axes(panel);
      Marks(panel);
    }
    SpectrumScale();
    EvidenceScale();
    List();
  }

 private:
  void Titles() {
    const Explanation& e = explanation_;
    canvas_.Font(kTitleSize, /*bold=*/true);
    canvas_.Text(kMargin, 36,
                 absl::StrFormat("What speaks for %s in %s: probability %.3f "
                                 "± %.3f",
                                 e.label, e.sample, e.probability, e.spread),
                 kInkBlack, Align::kLeft, kWidth - 2 * kMargin);
    canvas_.Font(kTextSize);
    std::string detail = absl::StrCat(
        e.instrument_type == kSamTestbed ? "SAM testbed" : e.instrument_type,
        "  ·  bundle ", e.bundle, "  ·  ",
        FormatPlural(static_cast<int64_t>(e.models.size()), "model"),
        absl::StrFormat(" from %.3f to %.3f", e.low, e.high), "  ·  ",
        FormatPlural(e.draws, "draw"), " each");
    if (!e.left_out.empty()) {
      absl::StrAppend(&detail,
                      "  ·  left out: ", absl::StrJoin(e.left_out, ", "));
    }
    canvas_.Text(kMargin, 59, detail, kInkGrey, Align::kLeft,
                 kWidth - 2 * kMargin);
    canvas_.Font(kHeadSize, /*bold=*/true);
    canvas_.Text(kSpectrum.x, kTop - 14, "Spectrum", kInkBlack);
    canvas_.Text(kEvidence.x, kTop - 14, "Evidence", kInkBlack);
    canvas_.Font(kTextSize);
    canvas_.Text(kSpectrum.x + 82, kTop - 14, "as the models get it", kInkGrey);
    canvas_.Text(kEvidence.x + 80, kTop - 14,
                 absl::StrFormat("red speaks for %s, blue against it", e.label),
                 kInkGrey, Align::kLeft, kPanelWidth - 80);
  }

  double ColumnX(const PixelRect& panel, double celsius) const {
    return panel.x +
           ((celsius - explanation_.first_celsius) / explanation_.step_celsius +
            0.5) *
               kCell;
  }
  static double RowY(const PixelRect& panel, int mz) {
    return panel.y + panel.height - (mz + 0.5) * kCell;
  }

  void Axes(const PixelRect& panel) {
    canvas_.Frame(panel);
    canvas_.Font(kSmallSize);
    const double end = explanation_.CelsiusOf(kPanelColumns - 1);
    const double step = TickStep(end - explanation_.first_celsius, 10);
    const double bottom = panel.y + panel.height;
    for (double t = std::ceil(explanation_.first_celsius / step) * step;
         t <= end; t += step) {
      const double x = std::floor(ColumnX(panel, t)) + 0.5;
      canvas_.Line(x, bottom, x, bottom + kTick);
      canvas_.Text(x, bottom + kTick + 12, TickText(t), kInkBlack,
                   Align::kCentre);
    }
    canvas_.Text(panel.x + panel.width, bottom + kTick + 27, "°C", kInkBlack,
                 Align::kRight);
    for (int mz = 0; mz < kPanelRows; mz += 10) {
      const double y = std::floor(RowY(panel, mz)) + 0.5;
      canvas_.Line(panel.x - kTick, y, panel.x, y);
      canvas_.Text(panel.x - kTick - 4, y + 4, absl::StrCat(mz), kInkBlack,
                   Align::kRight);
    }
    canvas_.Text(panel.x - kTick - 4, panel.y + 9, "m/z", kInkBlack,
                 Align::kRight);
  }

  // Rings around the largest peaks and their names beside them, none over
  // another.
  void Marks(const PixelRect& panel) {
    struct Box {
      double x, y, width;
    };
    canvas_.Font(kSmallSize, /*bold=*/true);
    const std::vector<EvidencePeak> peaks = MarkedPeaks();
    std::vector<Box> taken;
    for (const EvidencePeak& peak : peaks) {
      const double x = ColumnX(panel, explanation_.CelsiusOf(peak.column));
      const double y = RowY(panel, peak.mz);
      canvas_.Ring(x, y, 6);
      taken.push_back({x, y, 12});
    }
    for (size_t i = 0; i < peaks.size(); ++i) {
      const auto [x, y, ring] = taken[i];
      const std::string text = MzText(peaks[i].mz);
      const double width = canvas_.TextWidth(text) + 6;
      // To the right, or to the left near the edge.
      const bool left = x + 14 + width > panel.x + panel.width;
      const double middle = left ? x - 14 - width / 2 : x + 14 + width / 2;
      double at = y;
      for (int shift = 0; shift < 40; ++shift) {
        at = y + (shift % 2 == 0 ? 1 : -1) * ((shift + 1) / 2) * 8.0;
        const bool free =
            at > panel.y + 8 && at < panel.y + panel.height - 8 &&
            std::none_of(taken.begin(), taken.end(), [&](const Box& box) {
              return std::abs(box.y - at) < 16 &&
                     std::abs(box.x - middle) < (box.width + width) / 2;
            });
        if (free) break;
      }
      taken.push_back({middle, at, width});
      canvas_.Line(left ? x - 6 : x + 6, y, left ? x - 14 : x + 14, at);
      canvas_.Tag(middle, at, text);
    }
  }

  // The largest peaks that speak for the label.
  std::vector<EvidencePeak> MarkedPeaks() const {
    std::vector<EvidencePeak> peaks;
    for (const EvidencePeak& peak : explanation_.speaks_for) {
      if (peaks.size() == kMarked ||
          peak.log_odds <
              kMarkedShare * explanation_.speaks_for.front().log_odds) {
        break;
      }
      peaks.push_back(peak);
    }
    return peaks;
  }

  PixelRect ScaleRect(const PixelRect& panel) const {
    return {panel.x, kTop + kPanelHeight + 44, kPanelWidth, kScaleHeight};
  }

  void Tick(const PixelRect& bar, double share, const std::string& text) {
    const double x = bar.x + std::round(share * bar.width);
    canvas_.Line(x + 0.5, bar.y + bar.height, x + 0.5,
                 bar.y + bar.height + kTick);
    canvas_.Text(x, bar.y + bar.height + kTick + 12, text, kInkBlack,
                 Align::kCentre);
  }

  void SpectrumScale() {
    const PixelRect bar = ScaleRect(kSpectrum);
    canvas_.Cells(bar, 1, bar.width, [&](int, int x) {
      return ScaleColour((x + 0.5) / bar.width);
    });
    canvas_.Frame(bar);
    canvas_.Font(kSmallSize);
    const double decades = -std::log10(explanation_.min_clip);
    for (int decade = 0; decade <= static_cast<int>(decades + 1e-9); ++decade) {
      Tick(bar, 1 - decade / decades,
           decade == 0 ? "1" : absl::StrFormat("%g", std::pow(10, -decade)));
    }
    canvas_.Text(bar.x, bar.y - 6, "abundance / largest of the sample",
                 kInkBlack);
  }

  void EvidenceScale() {
    const PixelRect bar = ScaleRect(kEvidence);
    canvas_.Cells(bar, 1, bar.width, [&](int, int x) {
      return EvidenceColour(2 * (x + 0.5) / bar.width - 1);
    });
    canvas_.Frame(bar);
    canvas_.Font(kSmallSize);
    const double step = TickStep(2 * largest_, 8);
    const int most = static_cast<int>(largest_ / step + 1e-9);
    for (int i = -most; i <= most; ++i) {
      Tick(bar, (i * step / largest_ + 1) / 2, TickText(i * step));
    }
    canvas_.Text(
        bar.x, bar.y - 6,
        absl::StrFormat("log-odds lost when %.0f °C of an m/z are hidden",
                        explanation_.window_celsius),
        kInkBlack, Align::kLeft, bar.width - 30);
  }

  void List() {
    const double x = kEvidence.x + kPanelWidth + kMargin;
    double y = kTop - 14;
    const auto section = [&](const std::string& title,
                             const std::vector<EvidencePeak>& peaks,
                             size_t most) {
      if (peaks.empty()) return;
      canvas_.Font(kHeadSize, /*bold=*/true);
      canvas_.Text(x, y, title, kInkBlack);
      y += 24;
      canvas_.Font(kSmallSize);
      canvas_.Text(x, y, "m/z", kInkGrey);
      canvas_.Text(x + 150, y, "temperature", kInkGrey);
      canvas_.Text(x + 305, y, "share", kInkGrey, Align::kRight);
      canvas_.Text(x + kList, y, "log-odds", kInkGrey, Align::kRight);
      y += 20;
      canvas_.Font(kTextSize);
      for (size_t i = 0; i < std::min(most, peaks.size()); ++i) {
        const EvidencePeak& peak = peaks[i];
        canvas_.Text(x, y, MzText(peak.mz), kInkBlack, Align::kLeft, 142);
        canvas_.Text(x + 150, y, RangeText(explanation_, peak), kInkBlack);
        canvas_.Text(x + 305, y, FormatPercent(peak.share), kInkBlack,
                     Align::kRight);
        canvas_.Text(x + kList, y, absl::StrFormat("%.2f", peak.log_odds),
                     kInkBlack, Align::kRight);
        y += 21;
      }
      y += 24;
    };
    section(absl::StrCat("Speaks for ", explanation_.label),
            explanation_.speaks_for, 14);
    section("Speaks against it", explanation_.against, 5);
    canvas_.Font(kTextSize);
    for (const std::string& warning : explanation_.warnings) {
      canvas_.Text(x, y, absl::StrCat("! ", warning), kInkBlack, Align::kLeft,
                   kList);
      y += 18;
    }
  }

  const Explanation& explanation_;
  Canvas& canvas_;
  double largest_ = 0;
};

}  // namespace

Rgb EvidenceColour(double share) {
  if (!(share > -1)) share = std::isnan(share) ? 0 : -1;
  constexpr int kLast = static_cast<int>(std::size(kAnchors)) - 1;
  const double place = (std::min(share, 1.0) + 1) / 2 * kLast;
  const int below = std::min(static_cast<int>(place), kLast - 1);
  return Blend(kAnchors[below], kAnchors[below + 1], place - below);
}

absl::StatusOr<std::string> PaintExplanation(const Explanation& explanation) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<Canvas> canvas,
                            Canvas::Create(kWidth, kHeight));
  Painter(explanation, *canvas).Paint();
  return canvas->Png();
}

}  // namespace foldfarm
