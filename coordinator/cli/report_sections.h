// The report's sections. Each returns HTML, or "" when there is nothing to
// show: figures that the farm did not give are left out, never made up.
//
// All figures come from GetEnsembleResponse and are written by format.h, as on
// the terminal; calibration and the samples' own log losses are computed from
// the same out-of-fold predictions.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_REPORT_SECTIONS_H_
#define FOLDFARM_COORDINATOR_CLI_REPORT_SECTIONS_H_

#include <string>
#include <vector>

#include "coordinator/cli/report_data.h"

namespace foldfarm {

// What the figures do not cover, a sentence each: models that are not complete
// with why, labels that nobody predicts, spectra that could not be had.
std::vector<std::string> LeftOut(const ReportData& data);

// The figures that matter, and what was left out.
std::string SummarySection(const ReportData& data);
// Models, the ensemble and the prior; then labels and instruments.
std::string ScoresSection(const ReportData& data);
// The ensemble against the number of models and of draws; weights, shrinking.
std::string GrowthSection(const ReportData& data);
// Which models are alike.
std::string CorrelationSection(const ReportData& data);
// Log losses by epoch, a chart a model.
std::string CurvesSection(const ReportData& data);
// A reliability diagram a label.
std::string CalibrationSection(const ReportData& data);
// The samples with the largest log loss, and what they gave off.
std::string SamplesSection(const ReportData& data);
// Jobs that did not succeed, and attempts that did not.
std::string FailuresSection(const ReportData& data);
// The sweep, the dataset, digests, versions, times.
std::string ConfigurationSection(const ReportData& data);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_REPORT_SECTIONS_H_
