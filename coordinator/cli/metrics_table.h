// A job's metrics as a table and as CSV lines.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_METRICS_TABLE_H_
#define FOLDFARM_COORDINATOR_CLI_METRICS_TABLE_H_

#include <cstddef>
#include <set>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// Names of metrics in the order people look at them: the well-known ones, then
// the others by name.
std::vector<std::string> MetricsInOrder(std::set<std::string> names);

// A row an epoch, the well-known metrics first; then those of the result.
std::string MetricsText(const v1::GetMetricsResponse& reply, size_t width,
                        bool colour);

// Metrics of one job.
struct JobMetrics {
  v1::Job job;
  v1::GetMetricsResponse metrics;
};

// CSV, a line an epoch: job, model, fold, epoch, then a column a metric that
// any job has; an absent value is an empty cell.
std::string MetricsCsv(absl::Span<const JobMetrics> jobs);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_METRICS_TABLE_H_
