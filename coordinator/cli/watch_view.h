// What `watch` shows of a sweep: the state it gathers and the lines it makes of
// it.
//
// On a terminal, WatchLines gives the whole picture, to be redrawn in place;
// elsewhere, Apply gives a line for each event that a person would want in a
// log. Both are pure functions of state and time: no terminal, no clock. Not
// thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_WATCH_VIEW_H_
#define FOLDFARM_COORDINATOR_CLI_WATCH_VIEW_H_

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/cli/console.h"
#include "coordinator/cli/eta.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

class WatchState {
 public:
  // Takes in what the stream brought. Returns its events as lines: first a
  // summary; then starts, ends, retries, and every quarter of a job's epochs.
  std::vector<std::string> Apply(const v1::WatchSweepResponse& update);

  bool has_data() const { return has_data_; }
  const v1::Sweep& sweep() const { return sweep_; }
  // In the sweep's order.
  const std::vector<v1::Job>& jobs() const { return jobs_; }

  // "12 of 104 jobs done, 2 running, 90 pending, 1 failed".
  std::string Counts() const;

 private:
  std::string Event(const v1::Job& before, const v1::Job& after,
                    const Estimate& estimate) const;

  bool has_data_ = false;
  v1::Sweep sweep_;
  std::vector<v1::Job> jobs_;
  std::map<std::string, size_t> index_;
};

// The picture: a header of three lines, then a line a job: running first, then
// failed, pending and done, at most `size.rows` lines in all. No line is wider
// than `size.columns`.
std::vector<std::string> WatchLines(const WatchState& state, absl::Time now,
                                    TerminalSize size, bool colour);

// "━━━━━━────": `width` columns, `share` of them full.
std::string ProgressBar(double share, size_t width, bool colour);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_WATCH_VIEW_H_
