#include "coordinator/web/connection_threads.h"

#include <pthread.h>

#include <system_error>
#include <thread>
#include <utility>

#include "absl/time/time.h"
#include "common/base/log.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kIdle = absl::Seconds(5);
constexpr size_t kMaxWaiting = 128;
// How often is looked whether the server stops.
constexpr absl::Duration kLook = absl::Milliseconds(100);

}  // namespace

void ConnectionThreads::enqueue(std::function<void()> connection) {
  absl::MutexLock lock(&mu_);
  while (waiting_.size() >= kMaxWaiting && !stopping_server_) {
    room_.WaitWithTimeout(&mu_, kLook);
  }
  waiting_.push_back(std::move(connection));
  if (static_cast<int>(waiting_.size()) > idle_ && threads_ < max_threads_) {
    ++threads_;
    try {
      std::thread([this] { Serve(); }).detach();
      return;
    } catch (const std::system_error& error) {
      // The next connection tries again; this one waits for a thread.
      --threads_;
      SPDLOG_ERROR("http: no more threads than {}: {}", threads_, error.what());
    }
  }
  wake_.Signal();
}

void ConnectionThreads::Serve() {
  pthread_setname_np(pthread_self(), "http");
  absl::MutexLock lock(&mu_);
  while (true) {
    if (!waiting_.empty()) {
      const std::function<void()> connection = std::move(waiting_.front());
      waiting_.pop_front();
      room_.Signal();
      mu_.Unlock();
      connection();
      mu_.Lock();
      continue;
    }
    if (stopping_) break;
    ++idle_;
    const bool timed_out = wake_.WaitWithTimeout(&mu_, kIdle);
    --idle_;
    if (timed_out && waiting_.empty()) break;
  }
  // The last touch of this object: shutdown() waits for it under the lock.
  if (--threads_ == 0) ended_.SignalAll();
}

void ConnectionThreads::shutdown() {
  absl::MutexLock lock(&mu_);
  stopping_ = true;
  wake_.SignalAll();
  while (threads_ > 0) ended_.Wait(&mu_);
}

}  // namespace foldfarm
