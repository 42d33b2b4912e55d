#include "coordinator/web/farm_api.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/rpc/status.h"
#include "coordinator/web/json.h"

namespace foldfarm {
namespace {

template <typename Request, typename Response>
absl::StatusOr<std::string> Ask(
    FarmServiceImpl& farm,
    grpc::Status (FarmServiceImpl::*method)(grpc::ServerContext*,
                                            const Request*, Response*),
    const Request& request) {
  Response response;
  FOLDFARM_RETURN_IF_ERROR(
      ToStatus((farm.*method)(nullptr, &request, &response)));
  return MessageToJson(response);
}

absl::Status NothingThere(const std::string& path) {
  return absl::NotFoundError(
      absl::StrCat("nothing is at /api/v1/", path,
                   "; coordinator/web/farm_api.h lists what there is"));
}

}  // namespace

absl::StatusOr<std::string> FarmApi::Get(const std::string& path, bool full) {
  const std::vector<std::string> parts = absl::StrSplit(path, '/');
  const size_t size = parts.size();
  if (path == "sweeps") {
    return Ask(farm_, &FarmServiceImpl::ListSweeps, v1::ListSweepsRequest());
  }
  if (path == "workers") {
    return Ask(farm_, &FarmServiceImpl::ListWorkers, v1::ListWorkersRequest());
  }
  if (parts[0] == "sweeps" && size == 2) {
    v1::GetSweepRequest request;
    request.set_sweep(parts[1]);
    return Ask(farm_, &FarmServiceImpl::GetSweep, request);
  }
  if (parts[0] == "sweeps" && size == 3 && parts[2] == "jobs") {
    v1::ListJobsRequest request;
    request.set_sweep(parts[1]);
    return Ask(farm_, &FarmServiceImpl::ListJobs, request);
  }
  if (parts[0] == "sweeps" && size == 3 && parts[2] == "ensemble") {
    v1::GetEnsembleRequest request;
    request.set_sweep(parts[1]);
    request.set_full(full);
    return Ask(farm_, &FarmServiceImpl::GetEnsemble, request);
  }
  if (parts[0] == "jobs" && (size == 4 || size == 5)) {
    const std::string job = absl::StrJoin({parts[1], parts[2], parts[3]}, "/");
    if (size == 4) {
      v1::GetJobRequest request;
      request.set_job(job);
      return Ask(farm_, &FarmServiceImpl::GetJob, request);
    }
    if (parts[4] == "metrics") {
      v1::GetMetricsRequest request;
      request.set_job(job);
      return Ask(farm_, &FarmServiceImpl::GetMetrics, request);
    }
  }
  return NothingThere(path);
}

absl::StatusOr<std::string> FarmApi::Post(const std::string& path,
                                          const std::string& target) {
  if (path == "session") return "{}";
  if (path != "cancel" && path != "retry") return NothingThere(path);
  if (target.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " lacks ?target=, a sweep or a job, e.g. s3 or ",
                     "s3/130_gru/0"));
  }
  if (path == "cancel") {
    v1::CancelRequest request;
    request.set_target(target);
    return Ask(farm_, &FarmServiceImpl::Cancel, request);
  }
  v1::RetryRequest request;
  request.set_target(target);
  return Ask(farm_, &FarmServiceImpl::Retry, request);
}

}  // namespace foldfarm
