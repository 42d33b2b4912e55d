// How fast gRPC is on this machine with no queue behind it: what there is to
// share out between calls and their work.
#ifndef FOLDFARM_TESTS_BENCH_RPC_SPEED_H_
#define FOLDFARM_TESTS_BENCH_RPC_SPEED_H_

#include <string>

namespace foldfarm {

// How queue_bench is asked to serve instead of to measure:
// queue_bench kServeEcho FILE
inline constexpr char kServeEcho[] = "--serve-echo";

// Answers calls with nothing until it is killed; some messages on streams once
// 4 KiB of FILE are overwritten and flushed.
int ServeEcho(const std::string& file);

// Round trips a second between two processes, a connection for each caller.
struct RpcSpeed {
  // A call each, with the blocking calls of gRPC on both sides: a thread for
  // each caller.
  double calls_1 = 0;
  double calls_16 = 0;
  // A message each way on a stream that stays open, as the coordinator and the
  // stub workers do it: by reactors there, on one thread here.
  double messages_1 = 0;
  double messages_16 = 0;
  // The same with a flush before the answer.
  double flushed_1 = 0;
};

// The file that is flushed is made in `directory`.
RpcSpeed MeasureRpc(const std::string& directory);

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_BENCH_RPC_SPEED_H_
