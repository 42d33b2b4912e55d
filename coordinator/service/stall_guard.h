// Ends streams that stand still, so that a slow or silent caller cannot hold a
// thread of the server, an upload's place or a queue of messages for ever.
//
// An interceptor sees each message come and go. A stream is cancelled when
// - nothing came of an upload for `limit`;
// - a message that was sent was not taken for `limit`.
// Waiting for something to happen (a watched sweep, a followed log) is no
// standstill. One thread looks at all streams every quarter of `limit`.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_SERVICE_STALL_GUARD_H_
#define FOLDFARM_COORDINATOR_SERVICE_STALL_GUARD_H_

#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"

namespace foldfarm {

class StallGuard {
 public:
  // `clock` is borrowed.
  StallGuard(absl::Duration limit, Clock& clock);
  // REQUIRES: the server has ended.
  ~StallGuard();

  // What a server needs to be watched by this, which outlives the server.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
  MakeInterceptors();

 private:
  class Stream;
  class Factory;

  // From now on the call must move within the limit.
  void Arm(const void* call, grpc::ServerContextBase* context);
  void Disarm(const void* call);
  void Loop();

  struct Armed {
    grpc::ServerContextBase* context;
    absl::Duration since;
  };

  const absl::Duration limit_;
  Clock& clock_;  // Borrowed; outlives this.
  absl::Mutex mu_;
  absl::CondVar wake_;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  absl::flat_hash_map<const void*, Armed> armed_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_STALL_GUARD_H_
