#include "coordinator/cli/results.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/metrics_table.h"
#include "coordinator/cli/oof_table.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

absl::StatusOr<v1::ListJobsResponse> ListJobs(FarmClient& client,
                                              const std::string& sweep) {
  v1::ListJobsRequest request;
  request.set_sweep(sweep);
  return client.Call(&Farm::ListJobs, request);
}

}  // namespace

absl::StatusOr<int64_t> WriteOof(FarmClient& client, const std::string& sweep,
                                 const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const OofTable table, FetchOof(client, sweep));
  if (table.oof.models.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "no model of ", sweep,
        " is complete on all folds, so there is nothing to write; see foldfarm "
        "status ",
        sweep));
  }
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(path, OofCsv(table)));
  return static_cast<int64_t>(table.oof.num_samples());
}

absl::StatusOr<int64_t> WriteMetrics(FarmClient& client,
                                     const std::string& sweep,
                                     const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListJobsResponse list,
                            ListJobs(client, sweep));
  std::vector<JobMetrics> all;
  for (const v1::Job& job : list.jobs()) {
    v1::GetMetricsRequest request;
    request.set_job(job.name());
    FOLDFARM_ASSIGN_OR_RETURN(v1::GetMetricsResponse metrics,
                              client.Call(&Farm::GetMetrics, request));
    if (metrics.epochs().empty()) continue;
    all.push_back({job, std::move(metrics)});
  }
  FOLDFARM_RETURN_IF_ERROR(WriteFileAtomically(path, MetricsCsv(all)));
  return static_cast<int64_t>(all.size());
}

}  // namespace foldfarm
