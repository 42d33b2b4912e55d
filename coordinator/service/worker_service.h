// The API for daemons over gRPC: hands requests to the queue and answers when
// the queue does. No thread waits for a call, so any number of workers may wait
// for work.
#ifndef FOLDFARM_COORDINATOR_SERVICE_WORKER_SERVICE_H_
#define FOLDFARM_COORDINATOR_SERVICE_WORKER_SERVICE_H_

#include "coordinator/queue/job_queue.h"
#include "coordinator/service/access.h"
#include "coordinator/service/work_stream.h"
#include "foldfarm/v1/worker.grpc.pb.h"

namespace foldfarm {

class WorkerServiceImpl final : public v1::WorkerService::CallbackService {
 public:
  // All are borrowed. `tokens` may be null: any caller is any worker.
  WorkerServiceImpl(JobQueue& queue, TokenStore* tokens, RpcMetrics& metrics)
      : queue_(queue),
        access_(tokens, queue),
        streams_(queue, access_, metrics) {}

  // Ends the streams of workers, those too that would be opened. Call when the
  // queue answers nobody late.
  void StopStreams() { streams_.Stop(); }

  grpc::ServerUnaryReactor* Register(grpc::CallbackServerContext* context,
                                     const v1::RegisterRequest* request,
                                     v1::RegisterResponse* response) override;
  grpc::ServerUnaryReactor* AcquireLeases(
      grpc::CallbackServerContext* context,
      const v1::AcquireLeasesRequest* request,
      v1::AcquireLeasesResponse* response) override;
  grpc::ServerUnaryReactor* Heartbeat(grpc::CallbackServerContext* context,
                                      const v1::HeartbeatRequest* request,
                                      v1::HeartbeatResponse* response) override;
  grpc::ServerUnaryReactor* ReportProgress(
      grpc::CallbackServerContext* context,
      const v1::ReportProgressRequest* request,
      v1::ReportProgressResponse* response) override;
  grpc::ServerUnaryReactor* FinishAttempt(
      grpc::CallbackServerContext* context,
      const v1::FinishAttemptRequest* request,
      v1::FinishAttemptResponse* response) override;
  WorkStreams::Reactor* Work(grpc::CallbackServerContext* context) override;

 private:
  JobQueue& queue_;
  WorkerAccess access_;
  WorkStreams streams_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_WORKER_SERVICE_H_
