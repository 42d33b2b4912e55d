// The part of FarmService that drains workers.
#include "common/rpc/status.h"
#include "coordinator/service/farm_service.h"
#include "coordinator/service/farm_view.h"

namespace foldfarm {
namespace {

// The worker as it is now; only its name when it never registered here.
void ShowWorker(const JobQueue& queue, absl::Time now, const std::string& name,
                v1::Worker& response) {
  response.set_name(name);
  for (v1::Worker& worker : ViewWorkers(queue, now)) {
    if (worker.name() == name) response = std::move(worker);
  }
}

}  // namespace

grpc::Status FarmServiceImpl::DrainWorker(grpc::ServerContext*,
                                          const v1::DrainWorkerRequest* request,
                                          v1::Worker* response) {
  const absl::Status status =
      queue_.DrainWorker(request->worker(), request->reason());
  if (!status.ok()) return ToGrpc(status);
  ShowWorker(queue_, clock_.Now(), request->worker(), *response);
  return grpc::Status::OK;
}

grpc::Status FarmServiceImpl::UndrainWorker(
    grpc::ServerContext*, const v1::UndrainWorkerRequest* request,
    v1::Worker* response) {
  const absl::Status status = queue_.UndrainWorker(request->worker());
  if (!status.ok()) return ToGrpc(status);
  ShowWorker(queue_, clock_.Now(), request->worker(), *response);
  return grpc::Status::OK;
}

}  // namespace foldfarm
