#include "coordinator/queue/job_index.h"

namespace foldfarm {

void JobIndex::Clear() {
  sweeps_.clear();
  waiting_.clear();
  ready_ = 0;
  ready_exec_ = 0;
  absl::MutexLock lock(&mu_);
  ready_by_priority_.clear();
}

void JobIndex::Count(const Entry& entry, int change) {
  (entry.needs_exec ? ready_exec_ : ready_) += change;
  absl::MutexLock lock(&mu_);
  const auto it = ready_by_priority_.try_emplace(entry.priority, 0).first;
  it->second += change;
  if (it->second == 0) ready_by_priority_.erase(it);
}

std::map<int, int> JobIndex::ReadyByPriority() const {
  absl::MutexLock lock(&mu_);
  return ready_by_priority_;
}

void JobIndex::AddReady(const Entry& entry) {
  SweepState& sweep = sweeps_[entry.sweep];
  sweep.priority = entry.priority;
  auto& jobs = sweep.ReadyFor(entry)[entry.slots];
  if (jobs.emplace(entry.position, entry).second) Count(entry, +1);
}

void JobIndex::Add(const Entry& entry) {
  if (entry.not_before == absl::InfinitePast()) {
    AddReady(entry);
  } else {
    waiting_.emplace(entry.not_before, entry);
  }
}

void JobIndex::Remove(const Entry& entry) {
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    if (it->second.job == entry.job) {
      waiting_.erase(it);
      return;
    }
  }
  const auto sweep = sweeps_.find(entry.sweep);
  if (sweep == sweeps_.end()) return;
  ReadyJobs& jobs = sweep->second.ReadyFor(entry);
  const auto list = jobs.find(entry.slots);
  if (list == jobs.end()) return;
  const auto known = list->second.find(entry.position);
  if (known == list->second.end()) return;
  Count(known->second, -1);
  list->second.erase(known);
  if (list->second.empty()) jobs.erase(list);
}

void JobIndex::AddRunning(SweepId sweep, int priority, int slots) {
  SweepState& state = sweeps_[sweep];
  state.priority = priority;
  state.running_slots += slots;
}

void JobIndex::EndRunning(SweepId sweep, int slots) {
  const auto it = sweeps_.find(sweep);
  if (it == sweeps_.end()) return;
  it->second.running_slots -= slots;
}

void JobIndex::Wake(absl::Time now) {
  while (!waiting_.empty() && waiting_.begin()->first <= now) {
    AddReady(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
  }
}

absl::Time JobIndex::NextWake() const {
  return waiting_.empty() ? absl::InfiniteFuture() : waiting_.begin()->first;
}

std::map<int, JobIndex::Entry>* JobIndex::First(ReadyJobs& jobs, int free_slots,
                                                std::map<int, Entry>* best) {
  for (auto& [slots, list] : jobs) {
    if (slots > free_slots) break;
    if (best == nullptr || list.begin()->first < best->begin()->first) {
      best = &list;
    }
  }
  return best;
}

std::optional<JobIndex::Entry> JobIndex::Take(int free_slots, bool allow_exec) {
  if (empty(allow_exec)) return std::nullopt;
  auto best = sweeps_.end();
  std::map<int, Entry>* best_list = nullptr;
  for (auto it = sweeps_.begin(); it != sweeps_.end();) {
    SweepState& sweep = it->second;
    if (sweep.ready.empty() && sweep.ready_exec.empty()) {
      // A sweep with nothing to do and nothing running is forgotten.
      it = sweep.running_slots == 0 ? sweeps_.erase(it) : std::next(it);
      continue;
    }
    std::map<int, Entry>* list = First(sweep.ready, free_slots, nullptr);
    if (allow_exec) list = First(sweep.ready_exec, free_slots, list);
    if (list != nullptr &&
        (best_list == nullptr || sweep.priority > best->second.priority ||
         (sweep.priority == best->second.priority &&
          sweep.running_slots < best->second.running_slots))) {
      best = it;
      best_list = list;
    }
    ++it;
  }
  if (best_list == nullptr) return std::nullopt;
  const Entry entry = best_list->begin()->second;
  best_list->erase(best_list->begin());
  if (best_list->empty()) best->second.ReadyFor(entry).erase(entry.slots);
  Count(entry, -1);
  best->second.running_slots += entry.slots;
  return entry;
}

}  // namespace foldfarm
