// Connections: how every program of the farm opens a channel, sets up a server
// and makes a call.
//
// Both ends agree on keepalive here: a client pings an idle connection every
// 20 s, so that a dead peer is noticed within 30 s, and the server allows pings
// that often (by default it closes such connections: "too_many_pings").
//
// Functions are thread-safe.
#ifndef FOLDFARM_COMMON_RPC_CHANNEL_H_
#define FOLDFARM_COMMON_RPC_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/call_context.h"
#include "common/rpc/status.h"

namespace foldfarm {

// Largest message either end accepts.
inline constexpr int kMaxMessageBytes = 16 << 20;

struct ChannelOptions {
  // Null: no encryption and no identity (loopback, or --insecure).
  std::shared_ptr<grpc::ChannelCredentials> credentials;
};

// A channel to `endpoint` (HOST:PORT). Connects in the background, reconnects
// for ever (200 ms to 5 s apart) and ignores proxy settings of the environment:
// farm traffic stays on its own network. Channels do not share connections.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& endpoint,
                                           const ChannelOptions& options = {});

// The server's half of the agreement: keepalive and message size.
void ApplyServerLimits(grpc::ServerBuilder& builder);

// Makes one unary call, as a CallContext that CancelCalls() ends:
//   UnaryCall(*stub, &v1::FarmService::StubInterface::ListJobs, request,
//             absl::Seconds(10))
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> UnaryCall(
    std::type_identity_t<Stub>& stub,
    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                 Response*),
    const std::type_identity_t<Request>& request, absl::Duration timeout) {
  CallContext context(timeout);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return ToStatus(status);
  return response;
}

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_CHANNEL_H_
