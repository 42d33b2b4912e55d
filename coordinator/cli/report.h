// The report of a sweep: one HTML file with everything in it.
//
//  1. report_data fetches.
//  2. report_sections turns it into HTML, section by section, with
//     report_html (escaping, tables) and report_charts (SVG drawings).
//  3. report_style is how it looks on a screen, light or dark, and on paper.
// No script and nothing from elsewhere: it reads the same in ten years.
#ifndef FOLDFARM_COORDINATOR_CLI_REPORT_H_
#define FOLDFARM_COORDINATOR_CLI_REPORT_H_

#include <string>

#include "coordinator/cli/report_data.h"

namespace foldfarm {

// The page. Pure; thread-safe.
std::string ReportHtml(const ReportData& data);

// The style sheet (CSS).
std::string ReportStyle();

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_REPORT_H_
