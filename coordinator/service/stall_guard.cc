#include "coordinator/service/stall_guard.h"

#include <grpcpp/server_context.h>

#include "common/base/log.h"

namespace foldfarm {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

// Of one call; gRPC owns it.
class StallGuard::Stream final : public Interceptor {
 public:
  Stream(StallGuard& guard, ServerRpcInfo* info)
      : guard_(guard),
        context_(info->server_context()),
        receives_(info->type() == ServerRpcInfo::Type::CLIENT_STREAMING) {
    if (receives_) guard_.Arm(this, context_);
  }
  ~Stream() override { guard_.Disarm(this); }

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::POST_RECV_MESSAGE) &&
        receives_) {
      // Null: the caller has sent all.
      if (methods->GetRecvMessage() != nullptr) {
        guard_.Arm(this, context_);
      } else {
        guard_.Disarm(this);
      }
    }
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_MESSAGE)) {
      guard_.Arm(this, context_);
    }
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::POST_SEND_MESSAGE) ||
        methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_STATUS)) {
      guard_.Disarm(this);
    }
    methods->Proceed();
  }

 private:
  StallGuard& guard_;
  grpc::ServerContextBase* const context_;
  const bool receives_;
};

class StallGuard::Factory final
    : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(StallGuard& guard) : guard_(guard) {}

  Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    // Of a call with one message each way gRPC holds all, and no thread waits.
    if (info->type() == ServerRpcInfo::Type::UNARY) return nullptr;
    return new Stream(guard_, info);
  }

 private:
  StallGuard& guard_;
};

StallGuard::StallGuard(absl::Duration limit, Clock& clock)
    : limit_(limit), clock_(clock), thread_([this] { Loop(); }) {}

StallGuard::~StallGuard() {
  {
    absl::MutexLock lock(&mu_);
    stop_ = true;
    wake_.SignalAll();
  }
  thread_.join();
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
StallGuard::MakeInterceptors() {
  return std::make_unique<Factory>(*this);
}

void StallGuard::Arm(const void* call, grpc::ServerContextBase* context) {
  absl::MutexLock lock(&mu_);
  armed_[call] = {context, clock_.Monotonic()};
}

void StallGuard::Disarm(const void* call) {
  absl::MutexLock lock(&mu_);
  armed_.erase(call);
}

void StallGuard::Loop() {
  absl::MutexLock lock(&mu_);
  while (!stop_) {
    clock_.WaitFor(wake_, mu_, limit_ / 4);
    const absl::Duration now = clock_.Monotonic();
    for (auto& [call, armed] : armed_) {
      if (now - armed.since < limit_) continue;
      SPDLOG_WARN("a stream of {} stood still for {} and is ended",
                  armed.context->peer(),
                  absl::FormatDuration(
                      absl::Trunc(now - armed.since, absl::Milliseconds(1))));
      // The call cannot end before its interceptor left the map.
      armed.context->TryCancel();
      armed.since = absl::InfiniteDuration();
    }
  }
}

}  // namespace foldfarm
