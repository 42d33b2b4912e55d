// Runs one trainer process from start to reaping and hears what it says.
#ifndef FOLDFARM_WORKER_AGENT_TRAINER_PROCESS_H_
#define FOLDFARM_WORKER_AGENT_TRAINER_PROCESS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/subprocess.h"
#include "worker/agent/attempt_control.h"
#include "worker/agent/exec_program.h"
#include "worker/agent/trainer_event.h"

namespace foldfarm {

// Exit statuses of the attempt contract (sysexits.h's numbers).
inline constexpr int kExitDone = 0;
inline constexpr int kExitBadConfiguration = 64;
inline constexpr int kExitFailed = 70;
inline constexpr int kExitOutOfMemory = 71;
inline constexpr int kExitStopped = 75;

struct TrainerOptions {
  std::string program;  // Called as PROGRAM attempt FOLDER, unless `exec`.
  // A user's program instead, under a supervisor.
  std::optional<ExecProgram> exec;
  std::string supervisor = "/proc/self/exe";  // foldfarm-worker.
  std::string folder;  // The attempt's; also the working directory.
  int threads = 1;     // For OpenMP and BLAS, through the environment.
  // Between SIGTERM and SIGKILL when the attempt is cancelled, and when the
  // worker drains.
  absl::Duration cancel_grace = absl::Seconds(10);
  absl::Duration drain_grace = absl::Seconds(60);
  // It is stopped as if cancelled when it has run so long.
  absl::Duration timeout = absl::InfiniteDuration();
};

// Hears a trainer, in the thread that runs it.
class TrainerListener {
 public:
  virtual ~TrainerListener() = default;
  virtual void OnEvent(const TrainerEvent& event) = 0;
  // A line of its stdout (info) or stderr (error), clean UTF-8; also warnings
  // about events that cannot be read.
  virtual void OnLine(absl::string_view level, const std::string& text) = 0;
};

struct TrainerExit {
  ExitState state;
  // The kernel killed a process for want of memory meanwhile, and this one
  // ended by a SIGKILL that was not ours.
  bool out_of_memory = false;
  // It was told to stop because it had run as long as it may.
  bool timed_out = false;
  // Why the last thing it said could not be read; empty: it could.
  std::string misunderstood;
};

// Starts the trainer and returns when it has ended and everything it said was
// heard. Once `control` says stop it gets SIGTERM, after the grace SIGKILL; an
// abandon is a SIGKILL at once. What a user's program started in turn gets the
// same and is gone on return. The calling thread must do nothing else
// meanwhile: the kernel kills the child when this thread ends.
//
// Errors: those of starting it; the attempt itself is not to blame for them.
absl::StatusOr<TrainerExit> RunTrainer(const TrainerOptions& options,
                                       AttemptControl& control, Clock& clock,
                                       TrainerListener& listener);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_TRAINER_PROCESS_H_
