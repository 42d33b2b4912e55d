// Tells a worker that breaks jobs from jobs that are broken.
//
// A worker is held to be broken when, within 10 minutes and without a success
// in between, three things failed on it that are not known to fail by
// themselves:
//   - a job that failed on another worker as well says nothing;
//   - the folds of one model are one thing, since a model that cannot train
//     fails on each, unless another worker ran that model well;
//   - and only failures of a sweep of which another worker ran something well
//     (a success, or an epoch reported) within the last hour count.
// So the only worker of a farm is never held to be broken for what fails on it:
// there is nothing to compare it with.
//
// Kept in memory: after a restart of the coordinator the count begins anew. Not
// thread-safe.
#ifndef FOLDFARM_COORDINATOR_QUEUE_WORKER_HEALTH_H_
#define FOLDFARM_COORDINATOR_QUEUE_WORKER_HEALTH_H_

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/ids.h"

namespace foldfarm {

class WorkerHealth {
 public:
  static constexpr int kFailures = 3;
  static constexpr absl::Duration kWindow = absl::Minutes(10);
  static constexpr absl::Duration kMemory = absl::Hours(1);

  // A model of a sweep, by its index.
  using Model = std::pair<SweepId, int>;
  struct Failure {
    FencingToken token;
    JobId job;
    Model model;
    absl::Time time = absl::InfinitePast();
    // The job failed on another worker, too.
    bool elsewhere = false;
  };

  // An attempt reported an epoch.
  void NoteProgress(const std::string& worker, Model model, absl::Time now);
  void NoteSuccess(const std::string& worker, Model model, absl::Time now);

  // Returns the failures that the worker is to blame for, once they prove it
  // broken; then they are forgotten. Else nothing.
  std::vector<Failure> NoteFailure(const std::string& worker, Failure failure);

  // A person looked after the worker.
  void Forget(const std::string& worker) { failures_.erase(worker); }

 private:
  bool RanWellElsewhere(const std::string& worker, Model model,
                        absl::Time now) const;
  bool SweepRanWellElsewhere(const std::string& worker, SweepId sweep,
                             absl::Time now) const;

  // By worker, oldest first.
  std::map<std::string, std::vector<Failure>> failures_;
  // When each worker last ran a model well.
  std::map<Model, std::map<std::string, absl::Time>> well_;
  // Old entries of `well_` are dropped when there are so many.
  size_t next_sweeping_ = 1024;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_WORKER_HEALTH_H_
