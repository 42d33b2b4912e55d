// Network namespaces as hosts: machines of their own behind one switch, whose
// cables tests cut and heal.
//
// The calling thread gets a network and a mount namespace of its own, and with
// it every thread and process that it starts from then on. It is at the switch,
// at 10.77.0.1; host i is at 10.77.0.(i + 1). All of it vanishes with the
// process. Needs root and iproute2. Not thread-safe.
#ifndef FOLDFARM_TESTS_TESTING_HOSTS_H_
#define FOLDFARM_TESTS_TESTING_HOSTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace foldfarm {

class Hosts {
 public:
  static constexpr char kSwitchAddress[] = "10.77.0.1";

  // Makes `count` hosts. Call before any other thread exists, once a process.
  // Errors: PERMISSION_DENIED without the rights for it; INTERNAL with what a
  // tool said.
  static absl::StatusOr<std::unique_ptr<Hosts>> Make(int count);

  // What makes a command run on a host (1, 2...); it becomes the command.
  std::vector<std::string> On(int host) const;

  // Pulls the cable, and puts it in again. Whoever talks gets no answer, not
  // even a refusal.
  absl::Status Cut(int host);
  absl::Status Heal(int host);

  // Lets so much of what goes through the cable, in both directions, come late
  // or not at all. What this kernel cannot do is left out and returned, for
  // people; "" when all was done.
  absl::StatusOr<std::string> Disturb(int host, absl::Duration delay,
                                      int loss_percent);
  absl::Status Calm(int host);

 private:
  Hosts() = default;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_HOSTS_H_
