#include "coordinator/cli/report.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/report_html.h"
#include "coordinator/cli/report_sections.h"

namespace foldfarm {
namespace {

struct Chapter {
  const char* id;
  const char* name;  // In the table of contents.
  std::string (*html)(const ReportData&);
};

constexpr Chapter kChapters[] = {
    {"summary", "Summary", &SummarySection},
    {"scores", "Models", &ScoresSection},
    {"growth", "Growth", &GrowthSection},
    {"correlation", "Correlation", &CorrelationSection},
    {"curves", "Curves", &CurvesSection},
    {"calibration", "Calibration", &CalibrationSection},
    {"samples", "Worst samples", &SamplesSection},
    {"failures", "Failures", &FailuresSection},
    {"configuration", "Configuration", &ConfigurationSection},
};

}  // namespace

std::string ReportHtml(const ReportData& data) {
  std::string contents, sections;
  for (const Chapter& chapter : kChapters) {
    const std::string html = chapter.html(data);
    if (html.empty()) continue;
    sections += html;
    absl::StrAppend(&contents, "<li><a href=\"#", chapter.id, "\">",
                    chapter.name, "</a></li>");
  }
  const std::string name =
      absl::StrCat(data.sweep.name(), " (", data.sweep.id(), ")");
  const std::string made =
      absl::FormatTime("%Y-%m-%d %H:%M UTC", data.made, absl::UTCTimeZone());
  const std::string state = StateName(data.sweep.state());
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
      EscapeHtml(name), " - foldfarm report</title>\n<style>\n", ReportStyle(),
      "</style>\n</head>\n<body>\n<header>\n<h1>", EscapeHtml(name),
      "</h1>\n<p class=\"quiet\"><span class=\"state ", state, "\">", state,
      "</span> ", data.preliminary() ? "<strong>preliminary</strong> " : "",
      "report of a foldfarm sweep, made ", made, "; dataset ",
      EscapeHtml(data.dataset.name()), " <code>",
      EscapeHtml(ShortDigest(data.dataset.digest())),
      "</code></p>\n<nav aria-label=\"Contents\"><ul>", contents,
      "</ul></nav>\n</header>\n<main>\n", sections,
      "</main>\n<footer><p>Made by foldfarm ", EscapeHtml(data.version),
      ". All figures are out-of-fold: each sample is predicted by the network "
      "that did not see it.</p></footer>\n</body>\n</html>\n");
}

}  // namespace foldfarm
