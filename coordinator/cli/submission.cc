#include "coordinator/cli/submission.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/ensemble/csv.h"
#include "common/spectra/csv.h"

namespace foldfarm {
namespace {

// The position in `labels` of each of the format's columns.
absl::StatusOr<std::vector<size_t>> ColumnsOf(
    absl::Span<const std::string> labels, const SubmissionFormat* format) {
  std::vector<size_t> columns;
  if (format == nullptr) {
    for (size_t i = 0; i < labels.size(); ++i) columns.push_back(i);
    return columns;
  }
  for (const std::string& label : format->labels) {
    const auto at = std::find(labels.begin(), labels.end(), label);
    if (at == labels.end()) break;
    columns.push_back(static_cast<size_t>(at - labels.begin()));
  }
  const std::set<size_t> distinct(columns.begin(), columns.end());
  if (distinct.size() == labels.size() &&
      format->labels.size() == labels.size()) {
    return columns;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      format->path, ":1: labels are ", absl::StrJoin(format->labels, ","),
      ", expected those of the models, in any order: ",
      absl::StrJoin(labels, ",")));
}

}  // namespace

absl::StatusOr<SubmissionFormat> ReadSubmissionFormat(const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  FOLDFARM_ASSIGN_OR_RETURN(const CsvTable table, ParseCsvTable(text, path));
  FOLDFARM_ASSIGN_OR_RETURN(const size_t id,
                            FindColumn(table.columns, "sample_id", path));
  SubmissionFormat format;
  format.path = path;
  format.labels = table.columns;
  format.labels.erase(format.labels.begin() + static_cast<ptrdiff_t>(id));
  if (format.labels.empty()) {
    return BadLine(path, 1, "no label columns beside sample_id");
  }
  std::set<std::string> seen;
  for (const CsvTable::Row& row : table.rows) {
    const std::string& sample = row.cells[id];
    if (sample.empty()) return BadLine(path, row.line, "sample_id is empty");
    if (!seen.insert(sample).second) {
      return BadLine(path, row.line,
                     absl::StrCat("sample_id ", QuoteForMessage(sample),
                                  " again, expected each once"));
    }
    format.sample_ids.push_back(sample);
  }
  return format;
}

absl::StatusOr<Submission> MakeSubmission(
    absl::Span<const std::string> labels,
    absl::Span<const PredictedSample> samples, const SubmissionFormat* format,
    absl::Span<const double> prior) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<size_t> columns,
                            ColumnsOf(labels, format));
  std::map<std::string, const PredictedSample*> by_id;
  std::vector<std::string> ids;
  for (const PredictedSample& sample : samples) {
    by_id[sample.id] = &sample;
    ids.push_back(sample.id);
  }
  Submission submission;
  if (format != nullptr) {
    const std::set<std::string> asked(format->sample_ids.begin(),
                                      format->sample_ids.end());
    for (const std::string& id : ids) {
      if (asked.count(id) == 0) submission.unasked.push_back(id);
    }
    ids = format->sample_ids;
  }
  std::vector<std::string> header;
  for (const size_t column : columns) header.push_back(labels[column]);
  submission.csv = SubmissionCsvHeader(header);
  for (const std::string& id : ids) {
    const auto found = by_id.find(id);
    if (found == by_id.end()) {
      submission.unpredicted.push_back(id);
      if (prior.empty()) continue;
    }
    std::vector<double> row;
    for (const size_t column : columns) {
      const double p = found == by_id.end()
                           ? std::nan("")
                           : found->second->probability[column];
      if (std::isnan(p) && prior.empty()) {
        return absl::FailedPreconditionError(absl::StrCat(
            "no model predicts label ", labels[column],
            ", and a submission has no empty cells; predict with a model that "
            "has the label, or let --fill prior write its prevalence"));
      }
      row.push_back(std::isnan(p) ? prior[column] : p);
    }
    submission.csv += SubmissionCsvRow(
        id, found == by_id.end() ? "" : found->second->instrument_type, row);
    ++submission.rows;
  }
  return submission;
}

std::string PathOfDraws(const std::string& path, int draws) {
  const size_t name = path.size() - BaseName(path).size();
  const size_t dot = path.rfind('.');
  const size_t end =
      dot == std::string::npos || dot <= name ? path.size() : dot;
  return absl::StrCat(path.substr(0, end), ".tta", draws, path.substr(end));
}

}  // namespace foldfarm
