#include "coordinator/web/farm_feed.h"

#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"
#include "coordinator/service/farm_view.h"
#include "coordinator/web/json.h"

namespace foldfarm {
namespace {

// Reading takes at most a fifth of one core.
constexpr int kRestPerWork = 4;

}  // namespace

absl::StatusOr<std::shared_ptr<const FarmFeed::Snapshot>> FarmFeed::Get() {
  absl::MutexLock lock(&mu_);
  const absl::Duration begin = clock_.Monotonic();
  if (snapshot_ != nullptr && begin < next_) return snapshot_;
  // Counted before reading, so that no change is missed.
  const int64_t seen = queue_.changes();
  FOLDFARM_ASSIGN_OR_RETURN(snapshot_, Read(seen));
  const absl::Duration end = clock_.Monotonic();
  next_ = std::max(begin + kInterval, end + kRestPerWork * (end - begin));
  return snapshot_;
}

void FarmFeed::Add(const std::map<std::string, Entry>& former,
                   const std::string& name, Entry entry,
                   std::map<std::string, Entry>& entries,
                   std::vector<Entry>& list) {
  const auto old = former.find(name);
  entry.version = old != former.end() && old->second.essence == entry.essence
                      ? old->second.version
                      : version_;
  list.push_back(entry);
  entries[name] = std::move(entry);
}

absl::StatusOr<std::shared_ptr<const FarmFeed::Snapshot>> FarmFeed::Read(
    int64_t seen) {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->seen = seen;
  snapshot->version = ++version_;
  std::map<std::string, Entry> sweeps, workers;
  FOLDFARM_RETURN_IF_ERROR(
      store_.Read([&](const Reader& reader) -> absl::Status {
        FOLDFARM_ASSIGN_OR_RETURN(const std::vector<SweepRow> rows,
                                  reader.ListSweeps());
        for (const SweepRow& row : rows) {
          FOLDFARM_ASSIGN_OR_RETURN(const SweepCounts counts,
                                    reader.CountJobs(row.id));
          const v1::Sweep sweep = ToSweep(row, counts, /*with_spec=*/false);
          Entry entry;
          FOLDFARM_ASSIGN_OR_RETURN(entry.json, MessageToJson(sweep));
          entry.essence = entry.json;
          mu_.AssertHeld();
          Add(sweeps_, sweep.id(), std::move(entry), sweeps, snapshot->sweeps);
        }
        return absl::OkStatus();
      }));
  for (v1::Worker& worker : ViewWorkers(queue_, clock_.Now())) {
    Entry entry;
    FOLDFARM_ASSIGN_OR_RETURN(entry.json, MessageToJson(worker));
    worker.clear_last_heartbeat_time();
    entry.essence = worker.SerializeAsString();
    Add(workers_, worker.name(), std::move(entry), workers, snapshot->workers);
  }
  sweeps_ = std::move(sweeps);
  workers_ = std::move(workers);
  return snapshot;
}

}  // namespace foldfarm
