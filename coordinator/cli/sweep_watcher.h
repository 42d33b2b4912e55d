// Follows a sweep and shows it: in place on a terminal, line by line elsewhere.
//
// 1. A thread reads WatchSweep's stream and takes it up again when the
//    connection breaks (a coordinator that restarts sends everything anew).
// 2. Another asks for what the stream does not bring: once, what jobs did
// before
//    watching began (a bounded number of calls); now and then, the workers, and
//    why nothing runs.
// 3. Whoever owns the watcher calls Tick a few times a second, which draws when
//    something changed, once a second, and when the terminal changed its size.
// Not thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_SWEEP_WATCHER_H_
#define FOLDFARM_COORDINATOR_CLI_SWEEP_WATCHER_H_

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "coordinator/cli/console.h"
#include "coordinator/cli/farm_client.h"
#include "coordinator/cli/live_area.h"
#include "coordinator/cli/watch_state.h"

namespace foldfarm {

class SweepWatcher {
 public:
  struct Target {
    const Console* console = nullptr;  // Borrowed.
    std::ostream* stream = nullptr;    // Borrowed.
    // The picture is drawn in place, rather than a line an event.
    bool redraws = false;
    bool colour = false;
    int fd = -1;
    LiveArea::Mode mode = LiveArea::Mode::kFullScreen;
  };
  // stdout of `console`, or its stderr. `console` is borrowed.
  static Target ToOut(const Console& console);
  static Target ToErr(const Console& console);

  // Starts to follow. `client` and `clock` are borrowed.
  SweepWatcher(FarmClient& client, std::string sweep, Clock& clock,
               Target target);
  // Stops; leaves the last picture.
  ~SweepWatcher();
  SweepWatcher(const SweepWatcher&) = delete;
  SweepWatcher& operator=(const SweepWatcher&) = delete;

  // Shows what is new, after waiting for at most `wait` for it. Returns true
  // when the stream ended: every job is final, or result() is an error.
  bool Tick(absl::Duration wait);

  // A line of the owner's, above the picture.
  void Print(const std::string& line);

  // Why following ended early: NOT_FOUND; UNAVAILABLE when the coordinator
  // could not be reached for Reconnection::kPatience.
  // REQUIRES: Tick returned true.
  absl::Status result();

  // The newest state of the sweep.
  v1::Sweep sweep();
  std::vector<v1::Job> jobs();

 private:
  void Follow();
  // `heard`: the coordinator was, and until the end of the call.
  absl::Status FollowOnce(bool& heard);
  void LookUp();
  void LookUpPast();
  // Why nothing of the sweep runs, if that lasts.
  void LookUpWaiting();
  bool stopping() ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<std::string> Picture(TerminalSize size)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  FarmClient& client_;
  const std::string name_;
  Clock& clock_;
  const Target target_;
  LiveArea area_;
  absl::Time last_drawn_;
  TerminalSize drawn_size_;

  absl::Mutex mu_;
  absl::CondVar changed_;
  WatchState state_ ABSL_GUARDED_BY(mu_);
  std::vector<WatchEvent> events_ ABSL_GUARDED_BY(mu_);
  bool dirty_ ABSL_GUARDED_BY(mu_) = false;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  absl::Status result_ ABSL_GUARDED_BY(mu_);
  grpc::ClientContext* call_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::thread reader_;  // Last: they use the others.
  std::thread asker_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_SWEEP_WATCHER_H_
