#include "coordinator/service/rpc_metrics.h"

#include <google/protobuf/descriptor.h>

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "foldfarm/v1/artifact.pb.h"
#include "foldfarm/v1/farm.pb.h"
#include "foldfarm/v1/worker.pb.h"

namespace foldfarm {
namespace {

using grpc::experimental::InterceptionHookPoints;
using grpc::experimental::Interceptor;
using grpc::experimental::InterceptorBatchMethods;
using grpc::experimental::ServerRpcInfo;

// Of one call; gRPC owns it.
class Stopwatch final : public Interceptor {
 public:
  explicit Stopwatch(RpcMetrics::Method& method)
      : method_(method), begin_(Clock::Real().Monotonic()) {}

  void Intercept(InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(
            InterceptionHookPoints::PRE_SEND_STATUS)) {
      method_.NoteEnd(methods->GetSendStatus().error_code(), begin_);
    }
    methods->Proceed();
  }

 private:
  RpcMetrics::Method& method_;
  const absl::Duration begin_;
};

class Factory final
    : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  using Methods =
      absl::flat_hash_map<std::string, std::unique_ptr<RpcMetrics::Method>>;
  explicit Factory(const Methods& methods) : methods_(methods) {}

  Interceptor* CreateServerInterceptor(ServerRpcInfo* info) override {
    const auto method = methods_.find(absl::string_view(info->method()));
    // Health and reflection are not the farm's.
    if (method == methods_.end()) return nullptr;
    return new Stopwatch(*method->second);
  }

 private:
  const Methods& methods_;
};

}  // namespace

RpcMetrics::Method::Method() {
  for (std::unique_ptr<Histogram>& histogram : seconds_by_code) {
    histogram = std::make_unique<Histogram>(kSecondsBounds);
  }
}

void RpcMetrics::Method::NoteEnd(grpc::StatusCode code, absl::Duration begin) {
  const size_t index = static_cast<size_t>(code);
  if (index >= seconds_by_code.size()) return;
  seconds_by_code[index]->Observe(
      absl::ToDoubleSeconds(Clock::Real().Monotonic() - begin));
}

RpcMetrics::RpcMetrics() {
  for (const google::protobuf::FileDescriptor* file :
       {v1::ListJobsRequest::descriptor()->file(),
        v1::RegisterRequest::descriptor()->file(),
        v1::StatArtifactRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      const auto& service = *file->service(i);
      for (int k = 0; k < service.method_count(); ++k) {
        auto method = std::make_unique<Method>();
        const std::string& name = service.method(k)->name();
        method->name = absl::StrCat(service.name(), "/", name);
        methods_[absl::StrCat("/", service.full_name(), "/", name)] =
            std::move(method);
      }
    }
  }
}

RpcMetrics::Method& RpcMetrics::Get(absl::string_view name) {
  return *methods_.at(absl::StrCat("/foldfarm.v1.", name));
}

void RpcMetrics::ForEach(absl::FunctionRef<void(const Method&)> visit) const {
  std::map<std::string, const Method*> sorted;
  for (const auto& [path, method] : methods_) {
    sorted[method->name] = method.get();
  }
  for (const auto& [name, method] : sorted) visit(*method);
}

const char* RpcMetrics::CodeName(size_t code) {
  static constexpr std::array<const char*, kNumCodes> kNames = {
      "OK",
      "CANCELLED",
      "UNKNOWN",
      "INVALID_ARGUMENT",
      "DEADLINE_EXCEEDED",
      "NOT_FOUND",
      "ALREADY_EXISTS",
      "PERMISSION_DENIED",
      "RESOURCE_EXHAUSTED",
      "FAILED_PRECONDITION",
      "ABORTED",
      "OUT_OF_RANGE",
      "UNIMPLEMENTED",
      "INTERNAL",
      "UNAVAILABLE",
      "DATA_LOSS",
      "UNAUTHENTICATED"};
  return kNames[code];
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
RpcMetrics::MakeInterceptors() {
  return std::make_unique<Factory>(methods_);
}

}  // namespace foldfarm
