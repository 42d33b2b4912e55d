#include "coordinator/queue/job_index.h"

namespace foldfarm {

void JobIndex::Clear() {
  sweeps_.clear();
  waiting_.clear();
  ready_ = 0;
}

void JobIndex::AddReady(const Entry& entry) {
  SweepState& sweep = sweeps_[entry.sweep];
  sweep.priority = entry.priority;
  if (sweep.ready[entry.slots].emplace(entry.position, entry).second) ++ready_;
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
  const auto list = sweep->second.ready.find(entry.slots);
  if (list == sweep->second.ready.end()) return;
  ready_ -= static_cast<int>(list->second.erase(entry.position));
  if (list->second.empty()) sweep->second.ready.erase(list);
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

std::optional<JobIndex::Entry> JobIndex::Take(int free_slots) {
  if (ready_ == 0) return std::nullopt;
  auto best = sweeps_.end();
  std::map<int, Entry>* best_list = nullptr;
  for (auto it = sweeps_.begin(); it != sweeps_.end();) {
    SweepState& sweep = it->second;
    if (sweep.ready.empty()) {
      // A sweep with nothing to do and nothing running is forgotten.
      it = sweep.running_slots == 0 ? sweeps_.erase(it) : std::next(it);
      continue;
    }
    std::map<int, Entry>* list = nullptr;
    for (auto& [slots, jobs] : sweep.ready) {
      if (slots > free_slots) break;
      if (list == nullptr || jobs.begin()->first < list->begin()->first) {
        list = &jobs;
      }
    }
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
  if (best_list->empty()) best->second.ready.erase(entry.slots);
  --ready_;
  best->second.running_slots += entry.slots;
  return entry;
}

}  // namespace foldfarm
