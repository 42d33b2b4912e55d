#include "coordinator/cli/interrupt.h"

#include <unistd.h>

#include <iterator>

namespace foldfarm {
namespace {

std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void OnSignal(int /*signal*/) {
  if (interrupted.exchange(true)) _exit(130);
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

}  // namespace foldfarm
