#include "coordinator/queue/job_index.h"

#include <algorithm>
#include <tuple>

namespace foldfarm {

void JobIndex::Clear() {
  sweeps_.clear();
  waiting_.clear();
  ready_ = 0;
  ready_exec_ = 0;
  absl::MutexLock lock(&mu_);
  ready_by_priority_.clear();
  // Reservations stay: what is ready again is still to be kept for, and the
  // others run out.
}

void JobIndex::Count(const Entry& entry, int change) {
  (entry.needs_exec ? ready_exec_ : ready_) += change;
  const auto it = ready_by_priority_.try_emplace(entry.priority, 0).first;
  it->second += change;
  if (it->second == 0) ready_by_priority_.erase(it);
}

std::map<int, int> JobIndex::ReadyByPriority() const {
  absl::MutexLock lock(&mu_);
  return ready_by_priority_;
}

std::map<JobId, JobIndex::Reservation> JobIndex::Reservations() const {
  absl::MutexLock lock(&mu_);
  return reservations_;
}

void JobIndex::AddReady(const Entry& entry) {
  SweepState& sweep = sweeps_[entry.sweep];
  sweep.priority = entry.priority;
  auto& jobs = sweep.ReadyFor(entry)[entry.slots];
  absl::MutexLock lock(&mu_);
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
  {
    absl::MutexLock lock(&mu_);
    Count(known->second, -1);
    reservations_.erase(entry.job);
  }
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
  absl::MutexLock lock(&mu_);
  for (auto it = reservations_.begin(); it != reservations_.end();) {
    it = it->second.until <= now ? reservations_.erase(it) : std::next(it);
  }
}

absl::Time JobIndex::NextWake() const {
  absl::Time next =
      waiting_.empty() ? absl::InfiniteFuture() : waiting_.begin()->first;
  absl::MutexLock lock(&mu_);
  for (const auto& [job, kept] : reservations_) {
    next = std::min(next, kept.until);
  }
  return next;
}

bool JobIndex::IsKeptByOther(SweepId sweep, WorkerSession session) const {
  return std::any_of(
      reservations_.begin(), reservations_.end(), [&](const auto& entry) {
        return entry.second.sweep == sweep && entry.second.session != session;
      });
}

int JobIndex::Share(SweepId sweep, const SweepState& state,
                    WorkerSession asker) const {
  int slots = state.running_slots;
  for (const auto& [job, kept] : reservations_) {
    if (kept.sweep != sweep) continue;
    // What it has begun to keep is kept on, among equals: slots that go now
    // here and now there are never enough.
    if (kept.session == asker) return -1;
    slots += kept.slots;
  }
  return slots;
}

JobIndex::Place JobIndex::FindBySlots(SweepState& sweep, bool allow_exec,
                                      int more_than, int at_most) {
  Place first;
  for (ReadyJobs* const ready : {&sweep.ready, &sweep.ready_exec}) {
    if (ready == &sweep.ready_exec && !allow_exec) continue;
    for (auto list = ready->upper_bound(more_than);
         list != ready->end() && list->first <= at_most; ++list) {
      const auto job = list->second.begin();
      if (first.jobs == nullptr || job->first < first.job->first) {
        first = {&list->second, job};
      }
    }
  }
  return first;
}

JobIndex::Place JobIndex::Find(SweepId id, SweepState& sweep,
                               const Asker& asker) const {
  const Place fits = FindBySlots(sweep, asker.allow_exec, 0, asker.free_slots);
  if (fits.jobs != nullptr || asker.slots <= asker.free_slots ||
      IsKeptByOther(id, asker.session)) {
    return fits;
  }
  return FindBySlots(sweep, asker.allow_exec, asker.free_slots, asker.slots);
}

std::optional<JobIndex::Entry> JobIndex::Take(const Asker& asker) {
  if (asker.free_slots < 1 || empty(asker.allow_exec)) return std::nullopt;
  absl::MutexLock lock(&mu_);
  // The least is first; among equals the older sweep.
  const auto rank = [&](SweepId id, const SweepState& sweep)
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
                          return std::make_tuple(
                              -sweep.priority, Share(id, sweep, asker.session));
                        };
  auto best = sweeps_.end();
  Place place;
  for (auto it = sweeps_.begin(); it != sweeps_.end();) {
    SweepState& sweep = it->second;
    if (sweep.ready.empty() && sweep.ready_exec.empty()) {
      // A sweep with nothing to do and nothing running is forgotten.
      it = sweep.running_slots == 0 ? sweeps_.erase(it) : std::next(it);
      continue;
    }
    if (const Place found = Find(it->first, sweep, asker);
        found.jobs != nullptr &&
        (place.jobs == nullptr ||
         rank(it->first, sweep) < rank(best->first, best->second))) {
      best = it;
      place = found;
    }
    ++it;
  }
  if (place.jobs == nullptr) return std::nullopt;
  const Entry entry = place.job->second;
  place.jobs->erase(place.job);
  if (place.jobs->empty()) best->second.ReadyFor(entry).erase(entry.slots);
  Count(entry, -1);
  best->second.running_slots += entry.slots;
  return entry;
}

void JobIndex::PutBack(Entry entry) {
  EndRunning(entry.sweep, entry.slots);
  entry.not_before = absl::InfinitePast();  // It was ready.
  Add(entry);
}

void JobIndex::Reserve(const Entry& entry, WorkerSession session,
                       absl::Time until) {
  EndReservationsOf(session);
  absl::MutexLock lock(&mu_);
  reservations_[entry.job] = {session, entry.sweep, entry.priority, entry.slots,
                              until};
}

void JobIndex::EndReservation(JobId job) {
  absl::MutexLock lock(&mu_);
  reservations_.erase(job);
}

void JobIndex::EndReservationsOf(WorkerSession session) {
  absl::MutexLock lock(&mu_);
  for (auto it = reservations_.begin(); it != reservations_.end();) {
    it =
        it->second.session == session ? reservations_.erase(it) : std::next(it);
  }
}

void JobIndex::MoveReservations(WorkerSession from, WorkerSession to) {
  absl::MutexLock lock(&mu_);
  for (auto& [job, kept] : reservations_) {
    if (kept.session == from) kept.session = to;
  }
}

}  // namespace foldfarm
