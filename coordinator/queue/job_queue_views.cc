// The part of JobQueue that tells other threads how things stand.
#include <algorithm>

#include "coordinator/queue/job_queue.h"

namespace foldfarm {

int64_t JobQueue::changes() const {
  absl::MutexLock lock(&mu_);
  return changes_;
}

int64_t JobQueue::WaitForChange(int64_t seen, absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  const absl::Duration end = clock_.Monotonic() + timeout;
  while (changes_ == seen && !stopping_) {
    const absl::Duration left = end - clock_.Monotonic();
    if (left <= absl::ZeroDuration()) break;
    clock_.WaitFor(changes_wake_, mu_, left);
  }
  return changes_;
}

void JobQueue::WaitToGather(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  if (!stopping_) clock_.WaitFor(stop_wake_, mu_, timeout);
}

bool JobQueue::stopping() const {
  absl::MutexLock lock(&mu_);
  return stopping_;
}

std::optional<HeldLease> JobQueue::FindLease(FencingToken token) const {
  absl::MutexLock lock(&mu_);
  const auto it = leases_.find(token);
  if (it == leases_.end()) return std::nullopt;
  return it->second;
}

std::vector<std::pair<FencingToken, HeldLease>> JobQueue::Leases() const {
  absl::MutexLock lock(&mu_);
  return {leases_.begin(), leases_.end()};
}

bool JobQueue::IsWholeWorker(WorkerSession session, int slots) const {
  absl::MutexLock lock(&mu_);
  const auto it = workers_.find(session);
  return it != workers_.end() && slots >= it->second.row.slots;
}

std::vector<WorkerView> JobQueue::Workers() const {
  absl::MutexLock lock(&mu_);
  std::vector<WorkerView> views;
  for (const auto& [session, view] : workers_) {
    views.push_back(view);
    const auto hold = holds_.find(view.row.name);
    if (hold != holds_.end()) views.back().hold = hold->second;
  }
  std::sort(views.begin(), views.end(),
            [](const WorkerView& a, const WorkerView& b) {
              return a.row.name < b.row.name;
            });
  return views;
}

}  // namespace foldfarm
