// Calibration by label; see report_sections.h.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/ensemble/calibration.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/number_text.h"
#include "coordinator/cli/report_charts.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_sections.h"

namespace foldfarm {
namespace {

std::string InWords(const Calibration& calibration) {
  return absl::StrCat("Predicted ", FormatPercent(calibration.mean_probability),
                      " on average, present in ",
                      FormatPercent(calibration.observed), " of ",
                      FormatPlural(calibration.count, "prediction"),
                      "; expected calibration error ",
                      FormatScore(calibration.expected_calibration_error), ".");
}

void AddBins(const std::string& label, const Calibration& calibration,
             HtmlTable& table) {
  for (const CalibrationBin& bin : calibration.bins) {
    if (bin.count == 0) continue;
    table.AddRow({label,
                  absl::StrCat(TickText(bin.low), " to ", TickText(bin.high)),
                  FormatCount(bin.count), FormatScore(bin.mean_probability),
                  FormatScore(bin.observed),
                  absl::StrCat(FormatScore(bin.observed_low), " to ",
                               FormatScore(bin.observed_high))});
  }
}

}  // namespace

std::string CalibrationSection(const ReportData& data) {
  const OofMatrix& oof = data.oof.oof;
  if (data.oof.ensemble.empty()) return "";
  HtmlTable summary("Calibration by label",
                    {{"Label"},
                     {"Predictions", true},
                     {"Predicted", true},
                     {"Present", true},
                     {"Expected calibration error", true}});
  HtmlTable bins("Bins of predicted probability", {{"Label"},
                                                   {"Bin", true},
                                                   {"Predictions", true},
                                                   {"Predicted", true},
                                                   {"Present", true},
                                                   {"95 % interval", true}});
  std::string charts = "<div class=\"multiples narrow\">";
  const auto add = [&](const std::string& label, const Calibration& c) {
    if (c.count == 0) return;
    summary.AddRow(
        {label, FormatCount(c.count), FormatPercent(c.mean_probability),
         FormatPercent(c.observed), FormatScore(c.expected_calibration_error)});
    AddBins(label, c, bins);
    charts += Figure(
        DrawReliability(c, absl::StrCat("Calibration of ", label), InWords(c)),
        absl::StrCat(label, ": ECE ",
                     FormatScore(c.expected_calibration_error)),
        "small");
  };
  add("all labels", Calibrate(oof.truth, data.oof.ensemble));
  for (size_t k = 0; k < oof.num_labels(); ++k) {
    add(oof.labels[k],
        Calibrate(ColumnOf(oof.truth, oof.num_labels(), k),
                  ColumnOf(data.oof.ensemble, oof.num_labels(), k)));
  }
  charts += "</div>\n";
  return Section(
      "calibration", "Calibration",
      absl::StrCat(
          Paragraph("Of the ensemble's out-of-fold probabilities, in ten bins: "
                    "a dot is a bin's mean prediction and the share of its "
                    "samples that have the label, with the 95 % interval of "
                    "that share; on the dashed diagonal the two agree. Bars: "
                    "predictions in a bin, as square roots. ECE, the expected "
                    "calibration error, is the mean distance of the two, by "
                    "predictions.",
                    "quiet"),
          charts, summary.Render(), Details("Every bin", bins.Render())));
}

}  // namespace foldfarm
