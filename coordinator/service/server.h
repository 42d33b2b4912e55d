// The coordinator as one object: store, queue and the gRPC server in front.
#ifndef FOLDFARM_COORDINATOR_SERVICE_SERVER_H_
#define FOLDFARM_COORDINATOR_SERVICE_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/rpc/tokens.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/service/artifact_service.h"
#include "coordinator/service/farm_service.h"
#include "coordinator/service/rpc_metrics.h"
#include "coordinator/service/stall_guard.h"
#include "coordinator/service/worker_service.h"
#include "coordinator/store/artifact_files.h"
#include "coordinator/store/garbage.h"
#include "coordinator/store/store.h"

namespace foldfarm {

struct ServerOptions {
  // Everything that lasts is below this folder.
  std::string directory;
  // HOST:PORT; port 0 takes a free one.
  std::string listen = "127.0.0.1:7077";
  // Null: no encryption.
  std::shared_ptr<grpc::ServerCredentials> credentials;
  // Borrowed; outlives the server. Null: whoever connects may do everything.
  TokenStore* tokens = nullptr;
  // A stream that does not move for so long is ended.
  absl::Duration stall_limit = absl::Seconds(60);
  // Watches and logs that are followed at a time.
  int max_streams = kDefaultMaxStreams;
  QueueOptions queue;
  StoreOptions store;
  ArtifactFiles::Limits artifacts;
  // How often what nothing names is deleted, from the start on; infinite:
  // never.
  absl::Duration garbage_interval = absl::InfiniteDuration();
};

// "HOST:PORT" into its parts; IPv6 hosts stand in brackets.
// Errors: INVALID_ARGUMENT.
absl::StatusOr<std::pair<std::string, int>> ParseEndpoint(
    const std::string& endpoint);

class CoordinatorServer {
 public:
  // Serves from here on; DIRECTORY/endpoint says where.
  // Errors: those of Store::Open; FAILED_PRECONDITION when the address is
  // taken.
  static absl::StatusOr<std::unique_ptr<CoordinatorServer>> Start(
      const ServerOptions& options, Clock& clock);

  // Stops within a second or two: waiting calls are answered, running ones get
  // a moment to end.
  ~CoordinatorServer();

  // HOST:PORT that was bound.
  const std::string& endpoint() const { return endpoint_; }

  Store& store() { return *store_; }
  ArtifactFiles& files() { return *files_; }
  JobQueue& queue() { return *queue_; }
  // Its calls are answered to whoever asks in this process, too.
  FarmServiceImpl& farm() { return *farm_; }
  const RpcMetrics& rpc_metrics() const { return rpc_metrics_; }

 private:
  CoordinatorServer() = default;
  std::string endpoint_;
  // Destroyed from the last to the first.
  RpcMetrics rpc_metrics_;
  std::unique_ptr<StallGuard> stalls_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<ArtifactFiles> files_;
  std::unique_ptr<JobQueue> queue_;
  std::unique_ptr<GarbageThread> garbage_;
  std::unique_ptr<WorkerServiceImpl> workers_;
  std::unique_ptr<FarmServiceImpl> farm_;
  std::unique_ptr<ArtifactServiceImpl> artifacts_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_SERVER_H_
