// How long a command that follows something looks for a coordinator that it has
// lost. A restart takes seconds; who never had an answer is told at once.
#ifndef FOLDFARM_COORDINATOR_CLI_RECONNECTION_H_
#define FOLDFARM_COORDINATOR_CLI_RECONNECTION_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"

namespace foldfarm {

// What people are told meanwhile.
inline constexpr char kCoordinatorIsLost[] =
    "the coordinator is not heard any more; trying again";

class Reconnection {
 public:
  static constexpr absl::Duration kPatience = absl::Seconds(60);
  // Between two tries; see FarmClient::WaitToTryAgain.
  static constexpr absl::Duration kInterval = absl::Milliseconds(500);

  // `clock` is borrowed.
  explicit Reconnection(Clock& clock) : clock_(clock) {}

  // Whether to call again after a call that ended with `status`. `heard`: the
  // coordinator was, in this call, and so until its end: however long nothing
  // happened in between, a peer that is gone would have been noticed.
  bool ShouldTryAgain(const absl::Status& status, bool heard) {
    if (heard) {
      ever_heard_ = true;
      lost_ = clock_.Monotonic();
    }
    return absl::IsUnavailable(status) && ever_heard_ &&
           clock_.Monotonic() - lost_ <= kPatience;
  }

 private:
  Clock& clock_;
  bool ever_heard_ = false;
  absl::Duration lost_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_RECONNECTION_H_
