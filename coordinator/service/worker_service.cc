#include "coordinator/service/worker_service.h"

#include <utility>

#include "common/rpc/status.h"

namespace foldfarm {
namespace {

// Sends what the queue answered. The response lives until the call is finished.
template <typename Response>
JobQueue::Answer<Response> AnswerTo(grpc::ServerUnaryReactor* reactor,
                                    Response* response) {
  return [reactor, response](absl::StatusOr<Response> answer) {
    if (answer.ok()) {
      *response = *std::move(answer);
      reactor->Finish(grpc::Status::OK);
    } else {
      reactor->Finish(ToGrpc(answer.status()));
    }
  };
}

// A call that may wait: when the caller goes, the queue must not grant it a
// lease.
class WaitingReactor final : public grpc::ServerUnaryReactor {
 public:
  explicit WaitingReactor(JobQueue& queue) : queue_(queue) {}
  void OnCancel() override { queue_.StopWaitingFor(this); }
  void OnDone() override { delete this; }

 private:
  JobQueue& queue_;
};

}  // namespace

grpc::ServerUnaryReactor* WorkerServiceImpl::Register(
    grpc::CallbackServerContext* context, const v1::RegisterRequest* request,
    v1::RegisterResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  queue_.Register(*request, AnswerTo(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* WorkerServiceImpl::AcquireLeases(
    grpc::CallbackServerContext*, const v1::AcquireLeasesRequest* request,
    v1::AcquireLeasesResponse* response) {
  auto* reactor = new WaitingReactor(queue_);
  queue_.AcquireLeases(*request, reactor,
                       AnswerTo<v1::AcquireLeasesResponse>(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* WorkerServiceImpl::Heartbeat(
    grpc::CallbackServerContext* context, const v1::HeartbeatRequest* request,
    v1::HeartbeatResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  queue_.Heartbeat(*request, AnswerTo(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* WorkerServiceImpl::ReportProgress(
    grpc::CallbackServerContext* context,
    const v1::ReportProgressRequest* request,
    v1::ReportProgressResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  queue_.ReportProgress(*request, AnswerTo(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* WorkerServiceImpl::FinishAttempt(
    grpc::CallbackServerContext* context,
    const v1::FinishAttemptRequest* request,
    v1::FinishAttemptResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  queue_.FinishAttempt(*request, AnswerTo(reactor, response));
  return reactor;
}

}  // namespace foldfarm
