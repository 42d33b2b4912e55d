// A coordinator as the command sees it.
//
// Turns "no answer" into a status that says where nobody answered, or somebody
// else did, and what to do, or that a person interrupted the call. Thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_FARM_CLIENT_H_
#define FOLDFARM_COORDINATOR_CLI_FARM_CLIENT_H_

#include <atomic>
#include <memory>
#include <string>
#include <type_traits>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/rpc/channel.h"
#include "foldfarm/v1/artifact.grpc.pb.h"
#include "foldfarm/v1/farm.grpc.pb.h"

namespace foldfarm {

class FarmClient {
 public:
  // Connects with the first call. `address` is HOST:PORT.
  explicit FarmClient(std::string address);

  // One unary call of FarmService:
  //   client.Call(&v1::FarmService::StubInterface::ListJobs, request)
  //
  // Errors: those of the call; UNAVAILABLE with advice when nobody answers;
  // CANCELLED after an interrupt (interrupt.h), see IsInDoubt().
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (v1::FarmService::StubInterface::*method)(
          grpc::ClientContext*, const Request&, Response*),
      const std::type_identity_t<Request>& request,
      absl::Duration timeout = absl::Seconds(60)) {
    auto reply = UnaryCall(*farm_, method, request, timeout);
    if (!reply.ok()) return ExplainCall(reply.status(), request);
    answered_ = true;
    return reply;
  }

  // Waits out `interval` before a call that failed is made again, looking at
  // `cancelled` ten times a second. Returns false when cancelled.
  //
  // Meanwhile the connection is made: who merely sleeps reads nothing of it,
  // and TLS, which goes back and forth several times, never comes to its end.
  bool WaitToTryAgain(Clock& clock, absl::Duration interval,
                      absl::FunctionRef<bool()> cancelled);

  v1::FarmService::StubInterface& farm() { return *farm_; }
  v1::ArtifactService::StubInterface& artifacts() { return *artifacts_; }
  const std::string& address() const { return address_; }

  // UNAVAILABLE and DEADLINE_EXCEEDED with the address and advice, and so what
  // another program than a coordinator answers; CANCELLED by an interrupt as
  // "Stopped."; others as they are. `heard`: the call that failed had brought
  // something.
  absl::Status Explain(const absl::Status& status, bool heard = false) const;

 private:
  absl::Status ExplainCall(const absl::Status& status,
                           const google::protobuf::Message& request) const;

  const std::string address_;
  // The coordinator did: who hangs up afterwards is merely gone.
  mutable std::atomic<bool> answered_ = false;
  const std::shared_ptr<grpc::Channel> channel_;  // Of farm_.
  const std::unique_ptr<v1::FarmService::StubInterface> farm_;
  const std::unique_ptr<v1::ArtifactService::StubInterface> artifacts_;
};

// An interrupt ended a call before the coordinator said whether it changed what
// it was asked to change. The message says so.
bool IsInDoubt(const absl::Status& status);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_FARM_CLIENT_H_
