// What `watch` knows of a sweep, and what happened to it, event by event.
//
// Pure: no terminal, no clock. Not thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_WATCH_STATE_H_
#define FOLDFARM_COORDINATOR_CLI_WATCH_STATE_H_

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "coordinator/cli/console.h"
#include "coordinator/cli/eta.h"
#include "coordinator/cli/sweep_history.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

struct WatchEvent {
  absl::Time time;
  std::string text;
  Style style = Style::kPlain;
};

class WatchState {
 public:
  // Takes in what the stream brought at `now`. Returns its events: first a
  // summary; then starts, ends, retries, and every quarter of a job's epochs.
  std::vector<WatchEvent> Apply(const v1::WatchSweepResponse& update,
                                absl::Time now);

  // The coordinator is not heard any more since `now`, until Apply(). Returns
  // the event; none when that is known.
  std::optional<WatchEvent> Lose(absl::Time now);

  // Jobs wait and none runs.
  bool Stands() const;
  // Takes in why jobs wait. Returns what to say when nothing runs for another
  // reason than was said last.
  std::optional<WatchEvent> NoteWaiting(const v1::ListJobsResponse& pending,
                                        absl::Time now);

  // Takes in what other calls brought.
  void AddMetrics(const std::string& job,
                  const v1::GetMetricsResponse& metrics) {
    history_.Add(job, metrics);
  }
  void SetWorkers(const v1::ListWorkersResponse& reply) {
    workers_.assign(reply.workers().begin(), reply.workers().end());
    has_workers_ = true;
  }
  // See EtaInput.
  void SetPredictionEpochs(double epochs) { prediction_epochs_ = epochs; }

  bool has_data() const { return has_data_; }
  // When the coordinator was lost; nothing while it is heard.
  const std::optional<absl::Time>& lost() const { return lost_; }
  const v1::Sweep& sweep() const { return sweep_; }
  // In the sweep's order.
  const std::vector<v1::Job>& jobs() const { return jobs_; }
  const SweepHistory& history() const { return history_; }
  bool has_workers() const { return has_workers_; }
  const std::vector<v1::Worker>& workers() const { return workers_; }
  // How jobs ended, or were put back, newest last; a few.
  const std::deque<WatchEvent>& recent() const { return recent_; }

  Estimate EstimateAt(absl::Time now) const;

 private:
  WatchEvent Event(const v1::Job& before, const v1::Job& after,
                   const Estimate& estimate, absl::Time now) const;

  bool has_data_ = false;
  bool has_workers_ = false;
  std::optional<absl::Time> lost_;
  // Why nothing runs, as was said since something ran last; without digits.
  std::string waiting_;
  v1::Sweep sweep_;
  std::vector<v1::Job> jobs_;
  std::map<std::string, size_t> index_;
  std::vector<v1::Worker> workers_;
  SweepHistory history_;
  std::deque<WatchEvent> recent_;
  double prediction_epochs_ = EtaInput().prediction_epochs;
};

// Jobs whose metrics are worth a call when watching begins: those that run,
// then of each model the one that ended last, at most `most`.
std::vector<std::string> JobsToLookUp(absl::Span<const v1::Job> jobs,
                                      size_t most);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_WATCH_STATE_H_
