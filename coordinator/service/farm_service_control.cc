// The calls of FarmService that change jobs which are there.
#include "common/rpc/status.h"
#include "coordinator/service/farm_service.h"

namespace foldfarm {

grpc::Status FarmServiceImpl::Retry(grpc::ServerContext*,
                                    const v1::RetryRequest* request,
                                    v1::RetryResponse* response) {
  const absl::StatusOr<Target> target = FindTarget(request->target());
  if (!target.ok()) return ToGrpc(target.status());
  RetryWish wish;
  wish.from_scratch = request->from_scratch();
  wish.overrides.assign(request->overrides().begin(),
                        request->overrides().end());
  wish.slots = request->slots();
  const absl::StatusOr<int> jobs =
      queue_.Retry(target->sweep, target->job, wish);
  if (!jobs.ok()) return ToGrpc(jobs.status());
  response->set_jobs(*jobs);
  return grpc::Status::OK;
}

grpc::Status FarmServiceImpl::Pause(grpc::ServerContext*,
                                    const v1::PauseRequest* request,
                                    v1::PauseResponse* response) {
  const absl::StatusOr<Target> target = FindTarget(request->target());
  if (!target.ok()) return ToGrpc(target.status());
  const absl::StatusOr<int> jobs =
      queue_.SetPaused(target->sweep, target->job, true);
  if (!jobs.ok()) return ToGrpc(jobs.status());
  response->set_jobs(*jobs);
  return grpc::Status::OK;
}

grpc::Status FarmServiceImpl::Resume(grpc::ServerContext*,
                                     const v1::ResumeRequest* request,
                                     v1::ResumeResponse* response) {
  const absl::StatusOr<Target> target = FindTarget(request->target());
  if (!target.ok()) return ToGrpc(target.status());
  const absl::StatusOr<int> jobs =
      queue_.SetPaused(target->sweep, target->job, false);
  if (!jobs.ok()) return ToGrpc(jobs.status());
  response->set_jobs(*jobs);
  return grpc::Status::OK;
}

grpc::Status FarmServiceImpl::SetPriority(grpc::ServerContext*,
                                          const v1::SetPriorityRequest* request,
                                          v1::SetPriorityResponse* response) {
  const absl::StatusOr<Target> target = FindTarget(request->sweep());
  if (!target.ok()) return ToGrpc(target.status());
  if (target->job.has_value()) {
    return ToGrpc(absl::InvalidArgumentError(
        "a sweep has a priority, a job has none of its own; name the sweep"));
  }
  const absl::StatusOr<int> jobs =
      queue_.SetPriority(target->sweep, request->priority());
  if (!jobs.ok()) return ToGrpc(jobs.status());
  response->set_jobs(*jobs);
  return grpc::Status::OK;
}

}  // namespace foldfarm
