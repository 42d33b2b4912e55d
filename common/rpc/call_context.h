// The context of every call: none is made without a deadline, or a word that it
// has none. And the end of all calls at once, for a program that a person
// interrupts.
//
// UnaryCall() makes its context by itself (channel.h); layering_test keeps bare
// grpc::ClientContexts out of the programs.
//
// Functions are thread-safe.
#ifndef FOLDFARM_COMMON_RPC_CALL_CONTEXT_H_
#define FOLDFARM_COMMON_RPC_CALL_CONTEXT_H_

#include <grpcpp/client_context.h>

#include "absl/time/time.h"

namespace foldfarm {

// Of a stream that lasts as long as there is something to hear. It has no
// deadline, but no end of silence either: a peer that answers no ping for half
// a minute is gone, and the stream ends with UNAVAILABLE (channel.h).
inline constexpr absl::Duration kWhileThePeerLives = absl::InfiniteDuration();

// Of a stream that sends something large and ends.
inline constexpr absl::Duration kLargeAnswer = absl::Minutes(30);

// Ends a call with DEADLINE_EXCEEDED when it takes longer; infinite: never.
void SetTimeout(grpc::ClientContext& context, absl::Duration timeout);

class CallContext final : public grpc::ClientContext {
 public:
  // `cancellable`: CancelCalls() ends the call; otherwise only its owner does.
  explicit CallContext(absl::Duration timeout, bool cancellable = true);
  ~CallContext();

 private:
  const bool cancellable_;
};

// Ends the cancellable calls of this process with CANCELLED, which nobody
// repeats (retry.h): those on their way now, later ones as soon as they begin,
// until AllowCalls().
//
// Holds a lock meanwhile that contexts take when they come and go: not for a
// program that destroys contexts in callbacks of gRPC.
void CancelCalls();
void AllowCalls();

// How many cancellable calls are on their way, or about to be. May be called in
// a signal handler.
int CallsUnderWay();

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_CALL_CONTEXT_H_
