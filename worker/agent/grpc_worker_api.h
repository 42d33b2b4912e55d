// WorkerApi over gRPC, and the one place that logs how the coordinator does.
// What a worker calls again and again goes over one stream (work_calls.h).
//
// A worker that is refused at its first registration is set up wrongly, and is
// told so. One that was let in before has a token or a certificate that is
// being replaced, on this side or the other: to the daemon that is an outage,
// in which attempts train on until the next call's token is a good one.
#ifndef FOLDFARM_WORKER_AGENT_GRPC_WORKER_API_H_
#define FOLDFARM_WORKER_AGENT_GRPC_WORKER_API_H_

#include <grpcpp/channel.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/rpc/client_access.h"
#include "foldfarm/v1/artifact.grpc.pb.h"
#include "foldfarm/v1/worker.grpc.pb.h"
#include "worker/agent/work_calls.h"
#include "worker/agent/worker_api.h"

namespace foldfarm {

// Says once that the coordinator is away or refuses this worker, then once a
// minute, then that it is back. Thread-safe.
class OutageLog {
 public:
  OutageLog(std::string endpoint, Clock& clock)
      : endpoint_(std::move(endpoint)), clock_(clock) {}
  // `refused`: `status` says that this worker may not call.
  void Note(const absl::Status& status, bool refused = false);

 private:
  const std::string endpoint_;
  Clock& clock_;  // Borrowed; outlives this.
  absl::Mutex mu_;
  std::optional<absl::Duration> since_ ABSL_GUARDED_BY(mu_);
  bool refused_ ABSL_GUARDED_BY(mu_) = false;  // What was said last.
  absl::Duration said_ ABSL_GUARDED_BY(mu_);
};

class GrpcWorkerApi : public WorkerApi {
 public:
  // `endpoint` is for messages; so is `access`, what the channel was made of.
  GrpcWorkerApi(std::shared_ptr<grpc::Channel> channel,
                const std::string& endpoint, Clock& clock,
                const FarmChannel& access = {});

  absl::StatusOr<v1::RegisterResponse> Register(
      const v1::RegisterRequest& request) override;
  absl::StatusOr<v1::AcquireLeasesResponse> AcquireLeases(
      const v1::AcquireLeasesRequest& request) override;
  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(
      const v1::HeartbeatRequest& request) override;
  absl::StatusOr<v1::ReportProgressResponse> ReportProgress(
      const v1::ReportProgressRequest& request) override;
  absl::StatusOr<v1::FinishAttemptResponse> FinishAttempt(
      const v1::FinishAttemptRequest& request) override;
  absl::StatusOr<v1::ArtifactRef> Upload(const std::string& path,
                                         const Cancelled& cancelled) override;
  absl::Status Download(const v1::ArtifactRef& artifact,
                        const std::string& path,
                        const Cancelled& cancelled) override;
  absl::Status AwaitNews(const v1::AcquireLeasesRequest& request) override;
  void CancelNews() override;
  void EndWait() override;
  void CancelWaits() override;

 private:
  // A call that waits, and how it is cut short. Guarded by mu_.
  struct Wait {
    bool cancelled = false;
    bool ended = false;  // Before it came, once.
    uint64_t call = 0;   // Its number; 0: none waits.
  };
  // A call that does not wait.
  absl::StatusOr<v1::WorkResponse> Call(v1::WorkRequest request,
                                        absl::Duration timeout);
  absl::StatusOr<v1::AcquireLeasesResponse> Acquire(
      const v1::AcquireLeasesRequest& request, Wait& wait);
  void Cancel(Wait& wait);
  // `status` with what to do about it, where the set-up of TLS is to blame.
  absl::Status Explain(const absl::Status& status) const;
  // Logs how a call ended. Returns what its caller is told: UNAVAILABLE instead
  // of a refusal, once there was a registration.
  absl::Status Judge(const absl::Status& status);
  // The same for a transfer, whose error may also be that of a file here.
  absl::Status JudgeTransfer(const absl::Status& status);

  Clock& clock_;  // Borrowed; outlives this.
  const FarmChannel access_;
  OutageLog outages_;
  const std::unique_ptr<v1::WorkerService::Stub> worker_;
  const std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  WorkCalls calls_;
  std::atomic<bool> registered_ = false;  // At least once.
  absl::Mutex mu_;
  Wait leases_;
  Wait news_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_GRPC_WORKER_API_H_
