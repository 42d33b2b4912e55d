// The worst samples and their spectra; see report_sections.h.
#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "common/ensemble/scores.h"
#include "common/spectra/ions.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/number_text.h"
#include "coordinator/cli/report_charts.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_sections.h"

namespace foldfarm {
namespace {

// Heights below are drawn at the bottom.
constexpr double kFloor = 1e-4;

std::string IonTitle(int mz) {
  const absl::string_view name = IonName(mz);
  return absl::StrCat("m/z ", mz, name.empty() ? "" : " ", name);
}

// "m/z 18 H2O 1 at 126 °C".
std::string PeakText(const IonCurve& ion) {
  return absl::StrCat(IonTitle(ion.mz), " ", TickText(ion.peak), " at ",
                      TickText(ion.peak_celsius), " °C");
}

std::string SpectrumFigure(const SampleSpectrum& spectrum) {
  if (spectrum.strongest.empty()) {
    return Paragraph("The sample has no readings.", "quiet");
  }
  LineChart chart;
  chart.title = absl::StrCat("Ions of ", spectrum.sample_id);
  std::vector<std::string> peaks;
  for (const IonCurve& ion : spectrum.strongest) {
    peaks.push_back(PeakText(ion));
  }
  chart.description =
      absl::StrCat("Highest: ", absl::StrJoin(peaks, ", "), ".");
  if (!spectrum.named.empty()) {
    std::vector<std::string> others;
    for (const IonCurve& ion : spectrum.named) {
      others.push_back(PeakText(ion));
    }
    absl::StrAppend(&chart.description,
                    " Not drawn: ", absl::StrJoin(others, ", "), ".");
  }
  chart.x_name = "temperature, °C";
  chart.y_name = "abundance, share of the largest";
  chart.log_y = true;
  chart.y_range = {kFloor, 1.3};
  int look = 0;
  for (const IonCurve& ion : spectrum.strongest) {
    LineSeries series;
    series.name = IonTitle(ion.mz);
    series.look = look++;
    for (size_t i = 0; i < ion.height.size(); ++i) {
      if (std::isnan(ion.height[i])) continue;
      series.points.push_back(
          {spectrum.celsius[i], std::max(ion.height[i], kFloor)});
    }
    chart.series.push_back(std::move(series));
  }
  return Figure(DrawLineChart(chart), chart.description);
}

// Lowest and highest prediction of the models that have the label.
std::string ModelsRange(const OofMatrix& oof, size_t cell) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const OofModel& model : oof.models) {
    if (std::isnan(model.probabilities[cell])) continue;
    low = std::min(low, model.probabilities[cell]);
    high = std::max(high, model.probabilities[cell]);
  }
  if (low > high) return "-";
  return absl::StrCat(FormatScore(low), " to ", FormatScore(high));
}

std::string PredictionsTable(const OofTable& table, size_t row) {
  const OofMatrix& oof = table.oof;
  HtmlTable html(absl::StrCat("Truth and predictions of ", oof.sample_ids[row]),
                 {{"Label"},
                  {"Truth"},
                  {"Ensemble", true},
                  {"Models", true},
                  {"Log loss", true}});
  for (size_t k = 0; k < oof.num_labels(); ++k) {
    const size_t cell = row * oof.num_labels() + k;
    const double truth = oof.truth[cell];
    const double p = table.ensemble[cell];
    if (std::isnan(p)) {
      html.AddRow(
          {oof.labels[k], truth > 0.5 ? "present" : "-", "no model", "-", "-"},
          "quiet");
      continue;
    }
    const bool wrong = (p > 0.5) != (truth > 0.5);
    html.AddRow({oof.labels[k], truth > 0.5 ? "present" : "-",
                 HtmlCell(absl::StrCat(FormatScore(p), wrong ? " ✗" : "")),
                 ModelsRange(oof, cell),
                 FormatScore(ShrunkLogLoss(absl::MakeConstSpan(&truth, 1),
                                           absl::MakeConstSpan(&p, 1)))},
                wrong ? "wrong" : "");
  }
  return html.Render("compact");
}

}  // namespace

std::string SamplesSection(const ReportData& data) {
  if (data.worst.empty()) return "";
  const OofMatrix& oof = data.oof.oof;
  std::string html = Paragraph(
      absl::StrCat("The ", FormatPlural(data.worst.size(), "sample"),
                   " with the largest log loss under the ensemble. A cross "
                   "marks a label on the wrong side of 0.5; Models: the lowest "
                   "and the highest prediction."),
      "quiet");
  if (!data.spectra.empty()) {
    html += Paragraph(
        "Spectra: the six strongest m/z but helium, abundance above the ion's "
        "5 % quantile, means over 12 °C, as a share of the sample's largest, "
        "on a log scale. Names are the gases commonly seen at that m/z.",
        "quiet");
  }
  size_t rank = 0;
  for (const WorstSample& sample : data.worst) {
    html += absl::StrCat(
        "<article class=\"sample\">",
        Subheading(absl::StrCat(++rank, ". ", oof.sample_ids[sample.row])),
        Paragraph(absl::StrCat("log loss ", FormatScore(sample.log_loss), ", ",
                               oof.instrument_types[sample.row], ", fold ",
                               oof.folds[sample.row])),
        "<div class=\"columns\">", PredictionsTable(data.oof, sample.row));
    const auto spectrum =
        std::find_if(data.spectra.begin(), data.spectra.end(),
                     [&](const SampleSpectrum& one) {
                       return one.sample_id == oof.sample_ids[sample.row];
                     });
    if (spectrum != data.spectra.end()) html += SpectrumFigure(*spectrum);
    html += "</div></article>\n";
  }
  return Section("samples", "Worst samples", html);
}

}  // namespace foldfarm
