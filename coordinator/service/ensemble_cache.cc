#include "coordinator/service/ensemble_cache.h"

#include <algorithm>
#include <utility>

namespace foldfarm {

std::list<EnsembleCache::Entry>::iterator EnsembleCache::Find(
    const std::string& key) {
  return std::find_if(entries_.begin(), entries_.end(),
                      [&](const Entry& entry) { return entry.key == key; });
}

absl::StatusOr<EnsembleCache::Answer> EnsembleCache::Get(
    const std::string& key,
    absl::FunctionRef<absl::StatusOr<v1::GetEnsembleResponse>()> compute) {
  {
    absl::MutexLock lock(&mu_);
    // A failed computation takes its entry away: then this thread tries.
    auto entry = Find(key);
    while (entry != entries_.end()) {
      if (entry->answer != nullptr) {
        entries_.splice(entries_.begin(), entries_, entry);
        return entry->answer;
      }
      computed_.Wait(&mu_);
      entry = Find(key);
    }
    entries_.push_front({key, nullptr});
  }
  absl::StatusOr<v1::GetEnsembleResponse> response = compute();
  absl::MutexLock lock(&mu_);
  computed_.SignalAll();
  const auto entry = Find(key);
  if (!response.ok()) {
    entries_.erase(entry);
    return response.status();
  }
  entry->answer =
      std::make_shared<const v1::GetEnsembleResponse>(*std::move(response));
  const Answer answer = entry->answer;
  // The oldest go, but for those that someone waits for.
  for (auto last = entries_.end();
       entries_.size() > capacity_ && last != entries_.begin();) {
    --last;
    if (last->answer != nullptr) last = entries_.erase(last);
  }
  return answer;
}

}  // namespace foldfarm
