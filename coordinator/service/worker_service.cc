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

// Ends a call that is not allowed. Returns whether it was ended.
bool Refused(grpc::ServerUnaryReactor* reactor, const absl::Status& allowed) {
  if (allowed.ok()) return false;
  reactor->Finish(ToGrpc(allowed));
  return true;
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
  if (Refused(reactor, access_.MayRegister(*context, request->name())))
    return reactor;
  queue_.Register(*request, AnswerTo(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* WorkerServiceImpl::AcquireLeases(
    grpc::CallbackServerContext* context,
    const v1::AcquireLeasesRequest* request,
    v1::AcquireLeasesResponse* response) {
  auto* reactor = new WaitingReactor(queue_);
  if (Refused(reactor, access_.MayUseSession(*context, request->session())))
    return reactor;
  queue_.AcquireLeases(*request, reactor,
                       AnswerTo<v1::AcquireLeasesResponse>(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* WorkerServiceImpl::Heartbeat(
    grpc::CallbackServerContext* context, const v1::HeartbeatRequest* request,
    v1::HeartbeatResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (Refused(reactor, access_.MayUseSession(*context, request->session())))
    return reactor;
  queue_.Heartbeat(*request, AnswerTo(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* WorkerServiceImpl::ReportProgress(
    grpc::CallbackServerContext* context,
    const v1::ReportProgressRequest* request,
    v1::ReportProgressResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (Refused(reactor, access_.MayUseAttempt(*context, request->token())))
    return reactor;
  queue_.ReportProgress(*request, AnswerTo(reactor, response));
  return reactor;
}

grpc::ServerUnaryReactor* WorkerServiceImpl::FinishAttempt(
    grpc::CallbackServerContext* context,
    const v1::FinishAttemptRequest* request,
    v1::FinishAttemptResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  if (Refused(reactor, access_.MayUseSession(*context, request->session())) ||
      Refused(reactor, access_.MayUseAttempt(*context, request->token()))) {
    return reactor;
  }
  queue_.FinishAttempt(*request, AnswerTo(reactor, response));
  return reactor;
}

WorkStreams::Reactor* WorkerServiceImpl::Work(
    grpc::CallbackServerContext* context) {
  return streams_.Open(*context);
}

}  // namespace foldfarm
