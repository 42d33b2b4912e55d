// How long gRPC calls took and how they ended, by method.
//
// An interceptor sees every call of the server from the request's arrival to
// the status that is sent, whichever service answers it, so a new method is
// counted without a word about it. Waiting is included: AcquireLeases waits for
// work, WatchSweep lasts as long as somebody watches.
//
// Thread-safe. A call costs two readings of the clock and three relaxed
// additions; there is no lock.
#ifndef FOLDFARM_COORDINATOR_SERVICE_RPC_METRICS_H_
#define FOLDFARM_COORDINATOR_SERVICE_RPC_METRICS_H_

#include <grpcpp/support/server_interceptor.h>

#include <array>
#include <atomic>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "common/base/clock.h"
#include "common/base/histogram.h"

namespace foldfarm {

class RpcMetrics {
 public:
  // gRPC's codes, OK to UNAUTHENTICATED.
  static constexpr size_t kNumCodes = 17;

  RpcMetrics();

  // Of one method of the farm's services; made once, at the start.
  struct Method {
    Method();
    // "FarmService/ListJobs".
    std::string name;
    std::array<std::unique_ptr<Histogram>, kNumCodes> seconds_by_code;

    // A call that began then, by Clock::Real(), ends now. Harmless for a code
    // that is none of gRPC's.
    void NoteEnd(grpc::StatusCode code, absl::Duration begin);
  };

  // "FarmService/ListJobs", to count what does not come as a call of its own.
  // REQUIRES: there is such a method.
  Method& Get(absl::string_view name);

  // Calls `visit` for every method, in the order of their names.
  void ForEach(absl::FunctionRef<void(const Method&)> visit) const;

  // "OK", "NOT_FOUND"...
  static const char* CodeName(size_t code);

  // What a server needs to count into this, which outlives the server.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
  MakeInterceptors();

 private:
  // By path, "/foldfarm.v1.FarmService/ListJobs"; never changed later.
  absl::flat_hash_map<std::string, std::unique_ptr<Method>> methods_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_RPC_METRICS_H_
