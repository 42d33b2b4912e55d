// A gRPC server of this process, on a port of its own, with a coordinator's
// limits.
#ifndef FOLDFARM_TESTS_TESTING_LOOPBACK_SERVER_H_
#define FOLDFARM_TESTS_TESTING_LOOPBACK_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <initializer_list>
#include <memory>

#include "common/rpc/channel.h"

namespace foldfarm {

// Serves until it is destroyed, plainly, on 127.0.0.1:`port`. Borrows.
inline std::unique_ptr<grpc::Server> ServeOnLoopback(
    std::initializer_list<grpc::Service*> services, int& port) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  ApplyServerLimits(builder);
  for (grpc::Service* service : services) builder.RegisterService(service);
  return builder.BuildAndStart();
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_LOOPBACK_SERVER_H_
