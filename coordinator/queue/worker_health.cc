#include "coordinator/queue/worker_health.h"

#include <algorithm>
#include <climits>
#include <set>

namespace foldfarm {
namespace {

bool AnotherSince(const std::map<std::string, absl::Time>& times,
                  const std::string& worker, absl::Time since) {
  return std::any_of(times.begin(), times.end(), [&](const auto& entry) {
    return entry.first != worker && entry.second >= since;
  });
}

}  // namespace

void WorkerHealth::NoteProgress(const std::string& worker, Model model,
                                absl::Time now) {
  well_[model][worker] = now;
  if (well_.size() < next_sweeping_) return;
  for (auto it = well_.begin(); it != well_.end();) {
    it = AnotherSince(it->second, "", now - kMemory) ? std::next(it)
                                                     : well_.erase(it);
  }
  next_sweeping_ = std::max<size_t>(1024, 2 * well_.size());
}

void WorkerHealth::NoteSuccess(const std::string& worker, Model model,
                               absl::Time now) {
  NoteProgress(worker, model, now);
  failures_.erase(worker);
}

std::vector<WorkerHealth::Failure> WorkerHealth::NoteFailure(
    const std::string& worker, Failure failure) {
  for (auto& [other, theirs] : failures_) {
    if (other == worker) continue;
    for (Failure& their : theirs) {
      if (their.job != failure.job) continue;
      their.elsewhere = true;
      failure.elsewhere = true;
    }
  }
  std::vector<Failure>& ours = failures_[worker];
  ours.erase(std::remove_if(ours.begin(), ours.end(),
                            [&](const Failure& old) {
                              return old.token == failure.token ||
                                     old.time < failure.time - kWindow;
                            }),
             ours.end());
  ours.push_back(failure);

  std::vector<Failure> guilty;
  // A job by itself, or (with job 0) all folds of a model.
  std::set<std::pair<Model, int64_t>> things;
  for (const Failure& each : ours) {
    if (each.elsewhere) continue;
    guilty.push_back(each);
    if (!SweepRanWellElsewhere(worker, each.model.first, failure.time)) {
      continue;
    }
    const bool model_is_good =
        RanWellElsewhere(worker, each.model, failure.time);
    things.insert({each.model, model_is_good ? each.job.value : 0});
  }
  if (things.size() < static_cast<size_t>(kFailures)) return {};
  failures_.erase(worker);
  return guilty;
}

bool WorkerHealth::RanWellElsewhere(const std::string& worker, Model model,
                                    absl::Time now) const {
  const auto found = well_.find(model);
  return found != well_.end() &&
         AnotherSince(found->second, worker, now - kMemory);
}

bool WorkerHealth::SweepRanWellElsewhere(const std::string& worker,
                                         SweepId sweep, absl::Time now) const {
  for (auto it = well_.lower_bound({sweep, INT_MIN});
       it != well_.end() && it->first.first == sweep; ++it) {
    if (AnotherSince(it->second, worker, now - kMemory)) return true;
  }
  return false;
}

}  // namespace foldfarm
