// A coordinator as the command sees it.
//
// Turns "no answer" into a status that says where nobody answered and how to
// start somebody. Thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_FARM_CLIENT_H_
#define FOLDFARM_COORDINATOR_CLI_FARM_CLIENT_H_

#include <memory>
#include <string>
#include <type_traits>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
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
  // Errors: those of the call; UNAVAILABLE with advice when nobody answers.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(
      grpc::Status (v1::FarmService::StubInterface::*method)(
          grpc::ClientContext*, const Request&, Response*),
      const std::type_identity_t<Request>& request,
      absl::Duration timeout = absl::Seconds(60)) {
    auto reply = UnaryCall(*farm_, method, request, timeout);
    if (!reply.ok()) return Explain(reply.status());
    return reply;
  }

  v1::FarmService::StubInterface& farm() { return *farm_; }
  v1::ArtifactService::StubInterface& artifacts() { return *artifacts_; }
  const std::string& address() const { return address_; }

  // UNAVAILABLE and DEADLINE_EXCEEDED with the address and advice; others as
  // they are. `heard`: the call that failed had brought something.
  absl::Status Explain(const absl::Status& status, bool heard = false) const;

 private:
  const std::string address_;
  const std::unique_ptr<v1::FarmService::StubInterface> farm_;
  const std::unique_ptr<v1::ArtifactService::StubInterface> artifacts_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_FARM_CLIENT_H_
