// Streams of workers: the calls of a worker over one stream (WorkerService.Work
// in worker.proto).
//
// 1. A stream costs no thread. A message is handed to the queue where it is
//    read; its answer is sent from wherever the queue gives it. A result that
//    is checked there holds up nothing of the worker's other attempts.
// 2. Each message is let in as a call of its own would be: a token may be gone
//    that opened the stream.
// 3. Who sends more than is answered is not read until it is.
// 4. When a stream breaks off, its calls that wait are granted nothing; others
//    go on, and their answers are dropped.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_SERVICE_WORK_STREAM_H_
#define FOLDFARM_COORDINATOR_SERVICE_WORK_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/service/access.h"
#include "coordinator/service/rpc_metrics.h"
#include "foldfarm/v1/worker.pb.h"

namespace foldfarm {

class WorkStreams {
 public:
  using Reactor = grpc::ServerBidiReactor<v1::WorkRequest, v1::WorkResponse>;

  // All are borrowed and outlive the server. Calls are counted under their own
  // names, whichever way they came.
  WorkStreams(JobQueue& queue, WorkerAccess& access, RpcMetrics& metrics);
  // REQUIRES: every stream has ended.
  ~WorkStreams() = default;
  WorkStreams(const WorkStreams&) = delete;
  WorkStreams& operator=(const WorkStreams&) = delete;

  // A stream; gRPC owns it.
  Reactor* Open(grpc::CallbackServerContext& context);

  // Ends every stream when its calls under way are answered, and each that is
  // opened from now on.
  void Stop();

 private:
  class Stream;
  // Where the four calls are counted.
  struct Methods {
    RpcMetrics::Method& acquire_leases;
    RpcMetrics::Method& heartbeat;
    RpcMetrics::Method& report_progress;
    RpcMetrics::Method& finish_attempt;
  };

  void Forget(Stream& stream);

  JobQueue& queue_;       // Borrowed.
  WorkerAccess& access_;  // Borrowed.
  const Methods methods_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_set<Stream*> streams_ ABSL_GUARDED_BY(mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_WORK_STREAM_H_
