#include "coordinator/cli/interrupt.h"

#include <semaphore.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iterator>

#include "common/rpc/call_context.h"

namespace foldfarm {
namespace {

std::atomic<bool> interrupted = false;
std::atomic<int> num_scopes = 0;
std::atomic<int> farewell_fd = -1;
std::atomic<const char*> farewell = nullptr;
// Posted when there is something new for the listener's thread.
sem_t listener_news;
// Signal handlers may touch nothing else.
static_assert(std::atomic<bool>::is_always_lock_free);
static_assert(std::atomic<int>::is_always_lock_free);
static_assert(std::atomic<const char*>::is_always_lock_free);

void OnSignal(int /*signal*/) {
  const bool first = !interrupted.exchange(true);
  if (first && (num_scopes > 0 || CallsUnderWay() > 0)) {
    const int error = errno;
    sem_post(&listener_news);
    errno = error;
    return;
  }
  if (const char* text = farewell.load(); text != nullptr) {
    // Whether it arrives or not, the process ends.
    [[maybe_unused]] const ssize_t n =
        write(farewell_fd, text, std::strlen(text));
  }
  _exit(130);
}

}  // namespace

InterruptListener::InterruptListener() {
  // Never destroyed: a handler may still be at it.
  static const int made = sem_init(&listener_news, /*pshared=*/0, /*value=*/0);
  static_cast<void>(made);
  interrupted = false;
  AllowCalls();
  thread_ = std::thread([this] { Listen(); });
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], nullptr, &former_[i]);
    if (former_[i].sa_handler == SIG_IGN) continue;
    sigaction(kSignals[i], &action, nullptr);
  }
}

InterruptListener::~InterruptListener() {
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], &former_[i], nullptr);
  }
  ending_ = true;
  sem_post(&listener_news);
  thread_.join();
  AllowCalls();
}

void InterruptListener::Listen() {
  // It returns early, too: for a signal, or for a former listener's news.
  while (!interrupted && !ending_) sem_wait(&listener_news);
  if (interrupted) CancelCalls();
}

InterruptScope::InterruptScope() { ++num_scopes; }

InterruptScope::~InterruptScope() { --num_scopes; }

bool InterruptScope::Interrupted() { return interrupted; }

const std::atomic<bool>& InterruptScope::Flag() { return interrupted; }

void InterruptScope::SetFarewell(int fd, const char* text) {
  farewell_fd = fd;
  farewell = text;
}

}  // namespace foldfarm
