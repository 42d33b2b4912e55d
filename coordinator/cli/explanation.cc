#include "coordinator/cli/explanation.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/spectra/ions.h"
#include "common/tensorfile/tensorfile.h"
#include "coordinator/cli/contact_sheet.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/table.h"

namespace foldfarm {
namespace {

using Json = nlohmann::ordered_json;
using Align = Column::Align;

std::string EvidenceTable(const Explanation& explanation,
                          const std::vector<EvidencePeak>& peaks, size_t width,
                          bool colour) {
  Table table({{"M/Z", Align::kRight},
               {"ION", Align::kLeft},
               {"TEMPERATURE", Align::kLeft},
               {"SHARE", Align::kRight},
               {"LOG-ODDS", Align::kRight},
               {"USUALLY", Align::kLeft, true, 12, true}});
  for (const EvidencePeak& peak : peaks) {
    const Ion* ion = FindIon(peak.mz);
    table.AddRow({absl::StrCat(peak.mz), ion == nullptr ? "" : ion->name,
                  RangeText(explanation, peak), FormatPercent(peak.share),
                  absl::StrFormat("%.2f", peak.log_odds),
                  ion == nullptr ? "" : ion->meaning});
  }
  return table.Render(width, colour);
}

Json PeaksJson(const Explanation& explanation,
               const std::vector<EvidencePeak>& peaks) {
  Json list = Json::array();
  const double half = explanation.step_celsius / 2;
  for (const EvidencePeak& peak : peaks) {
    list.push_back(
        {{"mz", peak.mz},
         {"ion", std::string(IonName(peak.mz))},
         {"peakCelsius", explanation.CelsiusOf(peak.column)},
         {"fromCelsius", explanation.CelsiusOf(peak.first_column) - half},
         {"toCelsius", explanation.CelsiusOf(peak.last_column) + half},
         {"share", peak.share},
         {"logOdds", peak.log_odds}});
  }
  return list;
}

}  // namespace

absl::StatusOr<Explanation> LoadExplanation(const std::string& path,
                                            size_t top) {
  FOLDFARM_ASSIGN_OR_RETURN(const auto file, TensorFile::Open(path));
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text,
                            file->Metadata("explanation"));
  const Json json = ParseOrderedJson(text);
  if (!json.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not an explanation"));
  }
  Explanation result;
  result.sample = json.value("sample", "");
  result.label = json.value("label", "");
  result.instrument_type = json.value("instrument_type", "");
  result.instrument_guessed = json.value("instrument_guessed", false);
  result.bundle = json.value("bundle", "");
  result.probability = json.value("probability", 0.0);
  result.spread = json.value("spread", 0.0);
  result.low = json.value("low", 0.0);
  result.high = json.value("high", 0.0);
  result.log_odds = json.value("log_odds", 0.0);
  result.first_celsius = json.value("first_celsius", 30.0);
  result.step_celsius = json.value("step_celsius", 12.0);
  result.window_celsius = json.value("window_celsius", 72.0);
  result.min_clip = json.value("min_clip", 1e-4);
  result.networks = json.value("networks", 0);
  result.draws = json.value("draws", 0);
  result.models = json.value("models", std::vector<std::string>());
  result.left_out = json.value("left_out", std::vector<std::string>());
  result.warnings = json.value("warnings", std::vector<std::string>());
  const std::vector<int64_t> shape = {kPanelRows, kPanelColumns};
  FOLDFARM_ASSIGN_OR_RETURN(const auto image, file->F32("image", shape));
  FOLDFARM_ASSIGN_OR_RETURN(const auto evidence, file->F32("evidence", shape));
  result.image.assign(image.begin(), image.end());
  result.evidence.assign(evidence.begin(), evidence.end());
  result.speaks_for = FindEvidence(result.evidence, kPanelColumns, top);
  std::vector<float> negated = result.evidence;
  for (float& value : negated) value = -value;
  result.against = FindEvidence(negated, kPanelColumns, top);
  for (EvidencePeak& peak : result.against) peak.log_odds = -peak.log_odds;
  return result;
}

std::string MzText(int mz) {
  const absl::string_view name = IonName(mz);
  return absl::StrCat(mz, name.empty() ? "" : " ", name);
}

std::string RangeText(const Explanation& explanation,
                      const EvidencePeak& peak) {
  const double half = explanation.step_celsius / 2;
  return absl::StrFormat("%.0f-%.0f °C",
                         explanation.CelsiusOf(peak.first_column) - half,
                         explanation.CelsiusOf(peak.last_column) + half);
}

std::string ExplanationText(const Explanation& explanation, size_t width,
                            bool colour) {
  std::string text = absl::StrFormat(
      "%s: %s %.3f ± %.3f (models from %.3f to %.3f), %s\n", explanation.sample,
      explanation.label, explanation.probability, explanation.spread,
      explanation.low, explanation.high, explanation.instrument_type);
  const auto add = [&](const char* title,
                       const std::vector<EvidencePeak>& peaks) {
    if (peaks.empty()) return;
    absl::StrAppend(&text, "\n", Heading(title, colour), "\n",
                    EvidenceTable(explanation, peaks, width, colour));
  };
  add("What speaks for it", explanation.speaks_for);
  add("What speaks against it", explanation.against);
  absl::StrAppendFormat(
      &text,
      "\nLog-odds: what the label loses when that m/z is hidden in the %.0f °C "
      "around the peak;\nmean of %s, %s. Share: of all that speaks that way.\n",
      explanation.window_celsius,
      FormatPlural(static_cast<int64_t>(explanation.models.size()), "model"),
      FormatPlural(explanation.draws, "draw"));
  if (!explanation.left_out.empty()) {
    absl::StrAppend(&text, "Left out, they predict whatever the sample: ",
                    absl::StrJoin(explanation.left_out, ", "), "\n");
  }
  return text;
}

std::string ExplanationJson(const Explanation& explanation) {
  const Json json = {
      {"sample", explanation.sample},
      {"label", explanation.label},
      {"instrumentType", explanation.instrument_type},
      {"instrumentGuessed", explanation.instrument_guessed},
      {"bundle", explanation.bundle},
      {"probability", explanation.probability},
      {"spread", explanation.spread},
      {"low", explanation.low},
      {"high", explanation.high},
      {"logOdds", explanation.log_odds},
      {"method", "occlusion"},
      {"windowCelsius", explanation.window_celsius},
      {"draws", explanation.draws},
      {"models", explanation.models},
      {"leftOut", explanation.left_out},
      {"speaksFor", PeaksJson(explanation, explanation.speaks_for)},
      {"speaksAgainst", PeaksJson(explanation, explanation.against)},
      {"warnings", explanation.warnings}};
  return absl::StrCat(JsonText(json, 1), "\n");
}

}  // namespace foldfarm
