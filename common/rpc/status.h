// gRPC's status and Abseil's: the same codes in two types.
#ifndef FOLDFARM_COMMON_RPC_STATUS_H_
#define FOLDFARM_COMMON_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace foldfarm {

// Code and message carry over unchanged, both ways; of the details only whether
// there were any: see IsAnswer().
absl::Status ToStatus(const grpc::Status& status);
grpc::Status ToGrpc(const absl::Status& status);

// UNAVAILABLE as the peer said it, which cannot do the call now, and not as
// gRPC says it of a peer that cannot be reached.
bool IsAnswer(const absl::Status& status);
void MarkAnswer(absl::Status& status);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_STATUS_H_
