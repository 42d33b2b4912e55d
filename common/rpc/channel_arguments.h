// The client's half of what both ends of a connection agree on; see channel.h.
#ifndef FOLDFARM_COMMON_RPC_CHANNEL_ARGUMENTS_H_
#define FOLDFARM_COMMON_RPC_CHANNEL_ARGUMENTS_H_

#include <grpcpp/support/channel_arguments.h>

namespace foldfarm {

// Keepalive, reconnecting and message sizes of every channel of the farm.
grpc::ChannelArguments ClientArguments();

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_RPC_CHANNEL_ARGUMENTS_H_
