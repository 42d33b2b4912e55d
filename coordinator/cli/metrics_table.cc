#include "coordinator/cli/metrics_table.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "common/ensemble/csv.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/table.h"

namespace foldfarm {
namespace {

// The metrics every trainer reports, in the order people look at them; others
// follow by name.
constexpr const char* kKnown[] = {
    "train_loss", "log_loss", "log_loss_clip_1e_2", "accuracy",
    "lr",         "seconds",  "samples_per_second"};

// Those that count.
constexpr const char* kCounts[] = {"best_epoch", "epochs", "stage"};

std::string Number(absl::string_view metric, double value) {
  if (metric == "lr") return absl::StrFormat("%.2e", value);
  if (metric == "accuracy") return FormatPercent(value);
  if (metric == "samples_per_second") return absl::StrFormat("%.0f", value);
  if (metric == "seconds" || metric == "train_seconds") {
    return HumanDuration(absl::Seconds(value));
  }
  for (const char* count : kCounts) {
    if (metric == count) return absl::StrFormat("%.0f", value);
  }
  return FormatScore(value);
}

}  // namespace

std::vector<std::string> MetricsInOrder(std::set<std::string> names) {
  std::vector<std::string> order;
  for (const char* name : kKnown) {
    if (names.erase(name) > 0) order.push_back(name);
  }
  order.insert(order.end(), names.begin(), names.end());
  return order;
}

std::string MetricsText(const v1::GetMetricsResponse& reply, size_t width,
                        bool colour) {
  if (reply.epochs().empty() && reply.result().empty()) {
    return "No metrics yet.\n";
  }
  std::set<std::string> names;
  for (const v1::EpochMetrics& epoch : reply.epochs()) {
    for (const auto& [name, value] : epoch.values()) names.insert(name);
  }
  const std::vector<std::string> order = MetricsInOrder(names);
  std::vector<Column> columns = {{"EPOCH", Column::Align::kRight}};
  for (const std::string& name : order) {
    columns.push_back(
        {absl::StrReplaceAll(absl::AsciiStrToUpper(name), {{"_", " "}}),
         Column::Align::kRight, false, 0, true});
  }
  Table table(columns);
  for (const v1::EpochMetrics& epoch : reply.epochs()) {
    std::vector<Cell> row = {absl::StrCat(epoch.epoch())};
    for (const std::string& name : order) {
      const auto value = epoch.values().find(name);
      row.push_back(
          value == epoch.values().end() ? "-" : Number(name, value->second));
    }
    table.AddRow(std::move(row));
  }
  std::string text = table.empty() ? "" : table.Render(width, colour);
  if (reply.result().empty()) return text;
  absl::StrAppend(&text, text.empty() ? "" : "\n", Heading("Result", colour),
                  "\n");
  std::set<std::string> results;
  for (const auto& [name, value] : reply.result()) results.insert(name);
  for (const std::string& name : MetricsInOrder(results)) {
    absl::StrAppend(&text, "  ", name, " ",
                    Number(name, reply.result().at(name)), "\n");
  }
  return text;
}

std::string MetricsCsv(absl::Span<const JobMetrics> jobs) {
  std::set<std::string> names;
  for (const JobMetrics& job : jobs) {
    for (const v1::EpochMetrics& epoch : job.metrics.epochs()) {
      for (const auto& [name, value] : epoch.values()) names.insert(name);
    }
  }
  const std::vector<std::string> order = MetricsInOrder(names);
  std::string csv = "job,model,fold,epoch";
  for (const std::string& name : order) {
    absl::StrAppend(&csv, ",", CsvCell(name));
  }
  csv += "\n";
  for (const JobMetrics& job : jobs) {
    for (const v1::EpochMetrics& epoch : job.metrics.epochs()) {
      absl::StrAppend(&csv, CsvCell(job.job.name()), ",",
                      CsvCell(job.job.model()), ",", job.job.fold(), ",",
                      epoch.epoch());
      for (const std::string& name : order) {
        const auto value = epoch.values().find(name);
        csv += ',';
        if (value != epoch.values().end()) {
          absl::StrAppendFormat(&csv, "%.9g", value->second);
        }
      }
      csv += '\n';
    }
  }
  return csv;
}

}  // namespace foldfarm
