#include "coordinator/cli/interrupt.h"

#include <unistd.h>

#include <cstring>
#include <iterator>

namespace foldfarm {
namespace {

std::atomic<bool> interrupted = false;
std::atomic<int> farewell_fd = -1;
std::atomic<const char*> farewell = nullptr;
// Signal handlers may touch nothing else.
static_assert(std::atomic<bool>::is_always_lock_free);
static_assert(std::atomic<int>::is_always_lock_free);
static_assert(std::atomic<const char*>::is_always_lock_free);

void OnSignal(int /*signal*/) {
  if (!interrupted.exchange(true)) return;
  if (const char* text = farewell.load(); text != nullptr) {
    // Whether it arrives or not, the process ends.
    [[maybe_unused]] const ssize_t n =
        write(farewell_fd, text, std::strlen(text));
  }
  _exit(130);
}

}  // namespace

InterruptScope::InterruptScope() {
  interrupted = false;
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], &action, &former_[i]);
  }
}

InterruptScope::~InterruptScope() {
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], &former_[i], nullptr);
  }
}

bool InterruptScope::Interrupted() { return interrupted; }

const std::atomic<bool>& InterruptScope::Flag() { return interrupted; }

void InterruptScope::SetFarewell(int fd, const char* text) {
  farewell_fd = fd;
  farewell = text;
}

}  // namespace foldfarm
