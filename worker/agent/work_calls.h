// The worker's end of WorkerService.Work: calls over one stream, which lasts as
// long as the connection and is opened anew by the first call after its end.
//
// Thread-safe: each call waits in its caller's thread.
#ifndef FOLDFARM_WORKER_AGENT_WORK_CALLS_H_
#define FOLDFARM_WORKER_AGENT_WORK_CALLS_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "foldfarm/v1/worker.grpc.pb.h"

namespace foldfarm {

class WorkCalls {
 public:
  // Both are borrowed.
  WorkCalls(v1::WorkerService::StubInterface& stub, Clock& clock)
      : stub_(stub), clock_(clock) {}
  // Ends the stream. REQUIRES: no call is under way.
  ~WorkCalls();
  WorkCalls(const WorkCalls&) = delete;
  WorkCalls& operator=(const WorkCalls&) = delete;

  // A number for one call's `WorkRequest.id`.
  uint64_t NewId();

  // Sends `request` and waits for its answer, one try.
  // Errors: the call's own; UNAUTHENTICATED or PERMISSION_DENIED when the
  // stream was refused, UNAVAILABLE when it ended otherwise before the answer
  // came; DEADLINE_EXCEEDED after `timeout`; CANCELLED when it was cancelled
  // and the coordinator is silent.
  absl::StatusOr<v1::WorkResponse> Call(v1::WorkRequest request,
                                        absl::Duration timeout);

  // Has the coordinator answer a call that waits for work at once, also one
  // that has its number and is yet to come.
  void Cancel(uint64_t id);

 private:
  class Stream;
  struct Pending {
    Stream* stream;  // Null: it has ended.
    absl::Duration deadline;
    bool cancelled = false;
    bool done = false;
    absl::StatusOr<v1::WorkResponse> answer;
    absl::CondVar changed;
  };

  // Opens a stream if there is none.
  Stream& Current() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Sends nothing more over it; what is under way fails.
  void Drop(Stream& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  v1::WorkerService::StubInterface& stub_;  // Borrowed; outlives this.
  Clock& clock_;                            // Borrowed; outlives this.
  absl::Mutex mu_;
  uint64_t last_id_ ABSL_GUARDED_BY(mu_) = 0;
  absl::flat_hash_map<uint64_t, Pending*> pending_ ABSL_GUARDED_BY(mu_);
  // Before they came.
  absl::flat_hash_set<uint64_t> cancelled_ ABSL_GUARDED_BY(mu_);
  Stream* current_ ABSL_GUARDED_BY(mu_) = nullptr;
  int streams_ ABSL_GUARDED_BY(mu_) = 0;  // That gRPC has not done with.
  absl::CondVar ended_;                   // One less.
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_WORK_CALLS_H_
