// What gRPC itself has to say, which it else writes raw to standard error:
// several hundred characters a line, beside the one that explains.
//
// Whoever sets GRPC_VERBOSITY wants those lines as they are; then neither of
// these changes anything. Call before there are channels or servers.
// Thread-safe.
#ifndef FOLDFARM_COMMON_RPC_GRPC_LOG_H_
#define FOLDFARM_COMMON_RPC_GRPC_LOG_H_

namespace foldfarm {

// For daemons: its errors go to our log as warnings, shortened; those that any
// caller can cause (a port scanner on a TLS port), or that come back as the
// status of a call or a start, only at level debug.
void SetGrpcLog();

// For commands: nobody hears of them. What matters comes back as a status.
void DropGrpcLog();

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_GRPC_LOG_H_
