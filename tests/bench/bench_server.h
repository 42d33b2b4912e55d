// gRPC servers that queue_bench starts from itself, in a process of their own.
#ifndef FOLDFARM_TESTS_BENCH_BENCH_SERVER_H_
#define FOLDFARM_TESTS_BENCH_BENCH_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <initializer_list>
#include <memory>
#include <string>

#include "common/base/subprocess.h"
#include "foldfarm/v1/worker.grpc.pb.h"

namespace foldfarm {

// Runs `queue_bench WHAT FILE`, which is to Serve(), and waits until it listens
// at `endpoint`.
std::unique_ptr<Subprocess> StartServer(const char* what,
                                        const std::string& file,
                                        std::string& endpoint);

// Serves on loopback until the process is killed.
int Serve(std::initializer_list<grpc::Service*> services);

// A connection that is made: its first call costs no more than the others.
std::shared_ptr<grpc::Channel> ConnectTo(const std::string& endpoint);

// A worker's, its own.
std::unique_ptr<v1::WorkerService::Stub> ConnectWorker(
    const std::string& endpoint);

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_BENCH_BENCH_SERVER_H_
