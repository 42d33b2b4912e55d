// Signals that a daemon takes one by one, with sigwait().
#ifndef FOLDFARM_COMMON_BASE_SIGNALS_H_
#define FOLDFARM_COMMON_BASE_SIGNALS_H_

#include <signal.h>

namespace foldfarm {

// Adds `number` to `signals` unless the process was started with it ignored, as
// by nohup or behind a script's `&`: who did that wants no end by it, and
// sigwait() would get it all the same.
inline void AddUnlessIgnored(int number, sigset_t& signals) {
  struct sigaction action = {};
  if (sigaction(number, nullptr, &action) == 0 &&
      (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_IGN) {
    return;
  }
  sigaddset(&signals, number);
}

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_SIGNALS_H_
