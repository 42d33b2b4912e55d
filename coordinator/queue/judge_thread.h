// A thread that looks at sweeps, one at a time, when something has happened to
// them.
//
// Ids that come while a sweep waits to be looked at are one visit; one that
// comes during the visit is another. A visit that fails is repeated when next
// something happens anywhere, so nothing is polled.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_QUEUE_JUDGE_THREAD_H_
#define FOLDFARM_COORDINATOR_QUEUE_JUDGE_THREAD_H_

#include <functional>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "common/base/ids.h"

namespace foldfarm {

class JudgeThread {
 public:
  // `judge` runs on the thread.
  explicit JudgeThread(std::function<absl::Status(SweepId)> judge);
  // Waits for the visit that is on its way; others are dropped.
  ~JudgeThread();
  JudgeThread(const JudgeThread&) = delete;
  JudgeThread& operator=(const JudgeThread&) = delete;

  // Something has happened, to `sweeps` among others. Takes no time.
  void Wake(const std::set<SweepId>& sweeps);

  // Waits until nothing is left to look at.
  void WaitUntilIdle();

 private:
  void Loop();

  const std::function<absl::Status(SweepId)> judge_;
  absl::Mutex mu_;
  absl::CondVar wake_;
  absl::CondVar idle_;
  std::set<SweepId> due_ ABSL_GUARDED_BY(mu_);
  // Those whose visit failed.
  std::set<SweepId> failed_ ABSL_GUARDED_BY(mu_);
  bool busy_ ABSL_GUARDED_BY(mu_) = false;
  bool stop_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_JUDGE_THREAD_H_
