#include "worker/agent/attempt_control.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

namespace foldfarm {

AttemptControl::AttemptControl(Clock& clock)
    : clock_(clock), wake_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

AttemptControl::~AttemptControl() {
  if (wake_fd_ >= 0) close(wake_fd_);
}

void AttemptControl::Stop(StopReason reason) {
  absl::MutexLock lock(&mu_);
  if (reason <= reason_) return;
  reason_ = reason;
  changed_.SignalAll();
  const uint64_t one = 1;
  if (write(wake_fd_, &one, sizeof(one)) < 0) {
    // Full means readable, which is all that is asked.
  }
}

StopReason AttemptControl::reason() const {
  absl::MutexLock lock(&mu_);
  return reason_;
}

bool AttemptControl::WaitAtLeast(StopReason least, absl::Duration timeout) {
  const absl::Duration end = clock_.Monotonic() + timeout;
  absl::MutexLock lock(&mu_);
  while (reason_ < least) {
    const absl::Duration left = end - clock_.Monotonic();
    if (left <= absl::ZeroDuration()) return false;
    clock_.WaitFor(changed_, mu_, left);
  }
  return true;
}

void AttemptControl::ClearWake() {
  uint64_t count = 0;
  if (read(wake_fd_, &count, sizeof(count)) < 0) {
    // Nothing to clear.
  }
}

void AttemptControl::SetProcess(pid_t pid) {
  absl::MutexLock lock(&mu_);
  process_ = pid;
}

pid_t AttemptControl::process() const {
  absl::MutexLock lock(&mu_);
  return process_;
}

void AttemptControl::NoteUsage(const ProcessUsage& usage) {
  absl::MutexLock lock(&mu_);
  usage_.memory_bytes = usage.memory_bytes;
  usage_.peak_memory_bytes = std::max(
      {usage_.peak_memory_bytes, usage.peak_memory_bytes, usage.memory_bytes});
  usage_.cpu_seconds = std::max(usage_.cpu_seconds, usage.cpu_seconds);
}

ProcessUsage AttemptControl::usage() const {
  absl::MutexLock lock(&mu_);
  return usage_;
}

}  // namespace foldfarm
