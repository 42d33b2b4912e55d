#include "coordinator/service/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>

#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/rpc/channel.h"
#include "common/rpc/client_access.h"
#include "coordinator/service/access.h"

namespace foldfarm {
namespace {

// Of calls that hold one while they last: transfers and what people ask.
constexpr int kMaxThreads = 2048;
// What running calls get when the server stops.
constexpr int kGraceMs = 500;

// What is set once in a process, before its first server.
void SetUpProcess() {
  static const bool once = [] {
    // Debian builds Abseil with its search for deadlocks on: 6 % of the time.
    absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)once;
}

}  // namespace

absl::StatusOr<std::pair<std::string, int>> ParseEndpoint(
    const std::string& endpoint) {
  const size_t colon = endpoint.rfind(':');
  int port = 0;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(endpoint.substr(colon + 1), &port) || port < 0 ||
      port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("address is \"", endpoint,
                     "\", expected HOST:PORT, e.g. 127.0.0.1:7077"));
  }
  return std::make_pair(endpoint.substr(0, colon), port);
}

absl::StatusOr<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(
    const ServerOptions& options, Clock& clock) {
  FOLDFARM_ASSIGN_OR_RETURN(const auto address, ParseEndpoint(options.listen));
  SetUpProcess();
  std::unique_ptr<CoordinatorServer> server(new CoordinatorServer);
  FOLDFARM_ASSIGN_OR_RETURN(server->store_,
                            Store::Open(options.directory, options.store));
  FOLDFARM_ASSIGN_OR_RETURN(
      server->files_,
      ArtifactFiles::Open(options.directory, options.artifacts));
  FOLDFARM_ASSIGN_OR_RETURN(
      server->queue_,
      JobQueue::Start(*server->store_, *server->files_, clock, options.queue));
  server->workers_ = std::make_unique<WorkerServiceImpl>(
      *server->queue_, options.tokens, server->rpc_metrics_);
  server->farm_ = std::make_unique<FarmServiceImpl>(
      *server->store_, *server->files_, *server->queue_, clock,
      options.max_streams, options.tokens);
  server->artifacts_ = std::make_unique<ArtifactServiceImpl>(*server->files_);

  grpc::ServerBuilder builder;
  int port = 0;
  std::shared_ptr<grpc::ServerCredentials> credentials = options.credentials;
  if (options.tokens != nullptr) {
    credentials = RequireTokens(std::move(credentials), *options.tokens);
  } else if (credentials == nullptr) {
    credentials = grpc::InsecureServerCredentials();
  }
  builder.AddListeningPort(options.listen, credentials, &port);
  ApplyServerLimits(builder);
  grpc::ResourceQuota quota("coordinator");
  quota.SetMaxThreads(kMaxThreads);
  builder.SetResourceQuota(quota);
  std::vector<
      std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
      interceptors;
  interceptors.push_back(server->rpc_metrics_.MakeInterceptors());
  server->stalls_ = std::make_unique<StallGuard>(options.stall_limit, clock);
  interceptors.push_back(server->stalls_->MakeInterceptors());
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  builder.RegisterService(server->workers_.get());
  builder.RegisterService(server->farm_.get());
  builder.RegisterService(server->artifacts_.get());
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || port == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot listen on ", options.listen,
                     "; is the port taken by another program?"));
  }
  if (options.garbage_interval < absl::InfiniteDuration()) {
    server->garbage_ = std::make_unique<GarbageThread>(
        *server->store_, *server->files_, clock, options.garbage_interval);
  }
  server->endpoint_ = absl::StrCat(address.first, ":", port);
  FOLDFARM_RETURN_IF_ERROR(
      WriteFileAtomically(JoinPath(options.directory, "endpoint"),
                          absl::StrCat(server->endpoint_, "\n")));
  return server;
}

CoordinatorServer::~CoordinatorServer() {
  garbage_.reset();
  if (queue_ != nullptr) queue_->StopWaiting();
  if (workers_ != nullptr) workers_->StopStreams();
  if (server_ != nullptr) {
    server_->Shutdown(
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                     gpr_time_from_millis(kGraceMs, GPR_TIMESPAN)));
    server_->Wait();
    server_.reset();
  }
}

}  // namespace foldfarm
