// Threads that serve HTTP connections: as many as are needed, up to a limit.
//
// The library gives every connection a thread for as long as it lasts, and an
// event stream lasts for hours. A pool of fixed size would be used up by a few
// open pages; this one grows, so that streams (which are counted elsewhere and
// refused beyond their own limit) never starve short requests. Idle threads end
// after some seconds.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_WEB_CONNECTION_THREADS_H_
#define FOLDFARM_COORDINATOR_WEB_CONNECTION_THREADS_H_

#include <httplib.h>

#include <atomic>
#include <deque>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace foldfarm {

class ConnectionThreads final : public httplib::TaskQueue {
 public:
  // `stopping` is borrowed: from when it is true on nobody waits for long.
  ConnectionThreads(int max_threads, const std::atomic<bool>& stopping)
      : max_threads_(max_threads), stopping_server_(stopping) {}
  ~ConnectionThreads() override { shutdown(); }

  // Beyond the limit a connection waits for a thread, and beyond some that wait
  // the caller does: others are in the kernel's queue, and hold no file.
  void enqueue(std::function<void()> connection) override;
  // Waits for all connections to end.
  void shutdown() override;

 private:
  void Serve();

  const int max_threads_;
  const std::atomic<bool>& stopping_server_;
  absl::Mutex mu_;
  absl::CondVar wake_;
  absl::CondVar room_;
  absl::CondVar ended_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mu_);
  int threads_ ABSL_GUARDED_BY(mu_) = 0;
  int idle_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_WEB_CONNECTION_THREADS_H_
