// Ctrl-C as a question that loops ask.
//
// While an InterruptScope lives, SIGINT, SIGTERM and SIGHUP only raise a flag;
// the second one ends the process at once, with status 130 (its children die
// with it, see common/base/subprocess.h). One scope at a time.
#ifndef FOLDFARM_COORDINATOR_CLI_INTERRUPT_H_
#define FOLDFARM_COORDINATOR_CLI_INTERRUPT_H_

#include <signal.h>

#include <atomic>

namespace foldfarm {

class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  // Since the scope began. Thread-safe.
  static bool Interrupted();
  // The same to be asked by others.
  static const std::atomic<bool>& Flag();

  // What is written to `fd` when the second signal ends the process, to leave a
  // terminal as it was; null: nothing. `text` is a literal. Thread-safe.
  static void SetFarewell(int fd, const char* text);

 private:
  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction former_[3];
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_INTERRUPT_H_
