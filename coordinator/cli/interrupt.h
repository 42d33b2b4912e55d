// Ctrl-C: the end of the calls that a command waits for, and a question that
// its loops ask.
//
// 1. RunCli holds an InterruptListener while a command runs. SIGINT, SIGTERM
//    and SIGHUP then end every call with CANCELLED, those on their way and
//    those to come (CancelCalls); whoever made one cleans up and leaves.
// 2. A command that does more than wait for calls holds an InterruptScope, and
//    asks Interrupted().
// 3. A signal that nobody would heed, as no call is on its way and no scope
//    alive, ends the process at once with status 130. So does every second one
//    (its children die with it, see common/base/subprocess.h).
//
// A signal that is ignored when the listener begins stays so (nohup).
#ifndef FOLDFARM_COORDINATOR_CLI_INTERRUPT_H_
#define FOLDFARM_COORDINATOR_CLI_INTERRUPT_H_

#include <signal.h>

#include <atomic>
#include <thread>

namespace foldfarm {

// One at a time.
class InterruptListener {
 public:
  InterruptListener();
  ~InterruptListener();
  InterruptListener(const InterruptListener&) = delete;
  InterruptListener& operator=(const InterruptListener&) = delete;

 private:
  void Listen();

  static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction former_[3];
  std::atomic<bool> ending_ = false;
  // Cancels calls, for which a signal handler must not take the locks.
  std::thread thread_;
};

// While one lives, the first signal is left to those who ask.
class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  // Since the listener began. Thread-safe.
  static bool Interrupted();
  // The same to be asked by others.
  static const std::atomic<bool>& Flag();

  // What is written to `fd` when a signal ends the process, to leave a terminal
  // as it was; null: nothing. `text` is a literal. Thread-safe.
  static void SetFarewell(int fd, const char* text);
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_INTERRUPT_H_
