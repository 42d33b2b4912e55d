// The context of a call that is not unary: none is made without a deadline, or
// a word that it has none.
//
// UnaryCall() asks for a timeout; this asks for one wherever a context is made
// by hand. layering_test keeps bare grpc::ClientContexts out of the programs.
#ifndef FOLDFARM_COMMON_RPC_CALL_CONTEXT_H_
#define FOLDFARM_COMMON_RPC_CALL_CONTEXT_H_

#include <grpcpp/client_context.h>

#include "absl/time/time.h"
#include "common/rpc/channel.h"

namespace foldfarm {

// Of a stream that lasts as long as there is something to hear. It has no
// deadline, but no end of silence either: a peer that answers no ping for half
// a minute is gone, and the stream ends with UNAVAILABLE (channel.h).
inline constexpr absl::Duration kWhileThePeerLives = absl::InfiniteDuration();

// Of a stream that sends something large and ends.
inline constexpr absl::Duration kLargeAnswer = absl::Minutes(30);

class CallContext final : public grpc::ClientContext {
 public:
  explicit CallContext(absl::Duration timeout) { SetTimeout(*this, timeout); }
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_CALL_CONTEXT_H_
