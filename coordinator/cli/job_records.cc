#include "coordinator/cli/job_records.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

absl::StatusOr<v1::GetJobResponse> GetJob(FarmClient& client,
                                          const std::string& name) {
  v1::GetJobRequest request;
  request.set_job(name);
  return client.Call(&Farm::GetJob, request);
}

}  // namespace

absl::StatusOr<std::vector<JobRecord>> FetchJobRecords(
    FarmClient& client, const std::string& sweep,
    const std::function<bool()>& cancelled) {
  v1::ListJobsRequest list;
  list.set_sweep(sweep);
  FOLDFARM_ASSIGN_OR_RETURN(const v1::ListJobsResponse jobs,
                            client.Call(&Farm::ListJobs, list));
  std::vector<JobRecord> records;
  for (const v1::Job& job : jobs.jobs()) {
    if (cancelled && cancelled()) return absl::CancelledError("Stopped.");
    JobRecord& record = records.emplace_back();
    FOLDFARM_ASSIGN_OR_RETURN(record.details, GetJob(client, job.name()));
    v1::GetMetricsRequest metrics;
    metrics.set_job(job.name());
    FOLDFARM_ASSIGN_OR_RETURN(record.metrics,
                              client.Call(&Farm::GetMetrics, metrics));
    record.attempts.assign(record.details.attempts().begin(),
                           record.details.attempts().end());
    if (record.attempts.empty() && !job.reused_from().empty()) {
      // The other sweep may be gone; then nobody knows.
      const auto source = GetJob(client, job.reused_from());
      if (source.ok()) {
        record.attempts.assign(source->attempts().begin(),
                               source->attempts().end());
      }
    }
  }
  return records;
}

std::string AttemptEnd(const v1::Attempt& attempt) {
  if (attempt.signal() != 0) return absl::StrCat("signal ", attempt.signal());
  if (attempt.exit_status() != 0) {
    return absl::StrCat("exit ", attempt.exit_status());
  }
  return "";
}

}  // namespace foldfarm
