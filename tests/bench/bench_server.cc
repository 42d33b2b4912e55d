#include "tests/bench/bench_server.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/rpc/channel.h"
#include "tests/bench/queue_farm.h"

namespace foldfarm {

std::unique_ptr<Subprocess> StartServer(const char* what,
                                        const std::string& file,
                                        std::string& endpoint) {
  std::unique_ptr<Subprocess> server = SpawnUntilLine(
      {JoinPath(ProgramDirectory(), "queue_bench"), what, file}, endpoint);
  if (endpoint.empty()) {
    DieUnlessOk(absl::UnavailableError(
        absl::StrCat("queue_bench ", what, " did not start")));
  }
  return server;
}

int Serve(std::initializer_list<grpc::Service*> services) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::printf("127.0.0.1:%d\n", port);
  std::fflush(stdout);
  server->Wait();
  return 0;
}

std::shared_ptr<grpc::Channel> ConnectTo(const std::string& endpoint) {
  std::shared_ptr<grpc::Channel> channel = MakeChannel(endpoint);
  channel->WaitForConnected(gpr_inf_future(GPR_CLOCK_MONOTONIC));
  return channel;
}

std::unique_ptr<v1::WorkerService::Stub> ConnectWorker(
    const std::string& endpoint) {
  return v1::WorkerService::NewStub(ConnectTo(endpoint));
}

}  // namespace foldfarm
