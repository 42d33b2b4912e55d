// Tells one attempt, from any thread, that it is to stop.
//
// The attempt's own threads look at it where they wait: the one that watches
// the trainer polls `wake_fd`, the one that talks to the coordinator waits on
// `WaitAtLeast`. A stop never weakens: after an abandon, a drain changes
// nothing.
//
// Thread-safe.
#ifndef FOLDFARM_WORKER_AGENT_ATTEMPT_CONTROL_H_
#define FOLDFARM_WORKER_AGENT_ATTEMPT_CONTROL_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "worker/agent/process_usage.h"

namespace foldfarm {

// Why an attempt stops; a later one outweighs an earlier one.
enum class StopReason {
  kNone,
  // The worker shuts down, or the coordinator wants the job back: checkpoint,
  // hand the job back as PREEMPTED.
  kDrain,
  // A person cancelled the job: checkpoint, end as CANCELLED.
  kCancel,
  // The token is stale, or the worker dies at once: kill, report nothing.
  kAbandon,
};

class AttemptControl {
 public:
  explicit AttemptControl(Clock& clock);
  ~AttemptControl();
  AttemptControl(const AttemptControl&) = delete;
  AttemptControl& operator=(const AttemptControl&) = delete;

  void Stop(StopReason reason);
  StopReason reason() const;

  // Waits until the reason is `least` or weightier; true if it is, false when
  // `timeout` passed before.
  bool WaitAtLeast(StopReason least, absl::Duration timeout);

  // Becomes readable with the first Stop; ClearWake makes it unreadable until
  // the next one that changes something.
  int wake_fd() const { return wake_fd_; }
  void ClearWake();

  // The attempt's process; 0: none runs.
  void SetProcess(pid_t pid);
  pid_t process() const;
  // Notes what its processes use now; keeps the greatest of each but for
  // memory_bytes.
  void NoteUsage(const ProcessUsage& usage);
  ProcessUsage usage() const;

 private:
  Clock& clock_;  // Borrowed; outlives this.
  const int wake_fd_;
  mutable absl::Mutex mu_;
  absl::CondVar changed_;
  StopReason reason_ ABSL_GUARDED_BY(mu_) = StopReason::kNone;
  pid_t process_ ABSL_GUARDED_BY(mu_) = 0;
  ProcessUsage usage_ ABSL_GUARDED_BY(mu_);
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_ATTEMPT_CONTROL_H_
