// A worker by hand: the calls of a daemon, one by one, for tests that send what
// no worker of ours would. Not thread-safe.
#ifndef FOLDFARM_TESTS_TESTING_ROGUE_WORKER_H_
#define FOLDFARM_TESTS_TESTING_ROGUE_WORKER_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/channel.h"
#include "foldfarm/v1/artifact.grpc.pb.h"
#include "foldfarm/v1/worker.grpc.pb.h"
#include "tests/testing/tiny_data.h"

namespace foldfarm {

class RogueWorker {
 public:
  using Service = v1::WorkerService::StubInterface;

  explicit RogueWorker(const std::string& endpoint)
      : channel_(MakeChannel(endpoint)),
        worker_(v1::WorkerService::NewStub(channel_)),
        artifacts_(v1::ArtifactService::NewStub(channel_)) {}

  v1::WorkerService::Stub& worker() { return *worker_; }
  v1::ArtifactService::Stub& artifacts() { return *artifacts_; }
  int64_t session() const { return session_; }

  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (Service::*method)(grpc::ClientContext*, const Request&,
                                      Response*),
      const Request& request) {
    return UnaryCall(*worker_, method, request, absl::Seconds(20));
  }

  // Registers; later calls are of this session.
  absl::Status Register(const std::string& name, int slots,
                        const std::vector<int64_t>& held = {}) {
    v1::RegisterRequest request;
    request.set_name(name);
    request.set_slots(slots);
    for (const int64_t token : held) request.add_held_tokens(token);
    const auto response = Call(&Service::Register, request);
    if (response.ok()) session_ = response->session();
    return response.status();
  }

  // Waits for leases, up to 20 s for the first.
  std::vector<v1::Lease> Acquire(int slots) {
    v1::AcquireLeasesRequest request;
    request.set_session(session_);
    request.set_free_slots(slots);
    request.set_wait_seconds(15);
    const auto response = Call(&Service::AcquireLeases, request);
    if (!response.ok()) return {};
    return {response->leases().begin(), response->leases().end()};
  }

  // What the coordinator says of a token.
  v1::HeartbeatResponse::Action Heartbeat(const std::vector<int64_t>& tokens) {
    v1::HeartbeatRequest request;
    request.set_session(session_);
    for (const int64_t token : tokens) request.add_tokens(token);
    const auto response = Call(&Service::Heartbeat, request);
    if (!response.ok() || response->answers().empty()) {
      return v1::HeartbeatResponse::ACTION_UNSPECIFIED;
    }
    return response->answers(0).action();
  }

  absl::StatusOr<v1::ArtifactRef> Upload(const std::string& bytes,
                                         const std::string& name) {
    return UploadBytes(*artifacts_, bytes, name);
  }

  // Epochs first..last with the log loss `log_loss`.
  absl::Status Report(int64_t token, int first, int last, double log_loss) {
    v1::ReportProgressRequest request;
    request.set_token(token);
    for (int epoch = first; epoch <= last; ++epoch) {
      v1::EpochMetrics& metrics = *request.add_epochs();
      metrics.set_epoch(epoch);
      (*metrics.mutable_values())["log_loss"] = log_loss;
    }
    return Call(&Service::ReportProgress, request).status();
  }

  // A success with these predictions and some weights.
  v1::FinishAttemptRequest Success(int64_t token, const std::string& oof) {
    v1::FinishAttemptRequest request;
    request.set_session(session_);
    request.set_token(token);
    request.set_outcome(v1::Attempt::SUCCEEDED);
    for (const auto& [name, bytes] :
         {std::pair<std::string, std::string>("oof.safetensors", oof),
          std::pair<std::string, std::string>("weights.safetensors", "w")}) {
      const auto ref = Upload(bytes, name);
      if (ref.ok()) *request.add_artifacts() = *ref;
    }
    (*request.mutable_metrics())["log_loss"] = 0.5;
    return request;
  }
  absl::Status Finish(const v1::FinishAttemptRequest& request) {
    return Call(&Service::FinishAttempt, request).status();
  }

  // What the lease asks for: every sample of its fold.
  static std::vector<std::string> Samples(const v1::Lease& lease) {
    return {lease.spec().validation_samples().begin(),
            lease.spec().validation_samples().end()};
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::WorkerService::Stub> worker_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  int64_t session_ = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_ROGUE_WORKER_H_
