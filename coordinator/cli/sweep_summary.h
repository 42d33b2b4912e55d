// A sweep's jobs gathered by model: what `watch` and `status` make their lines
// of.
//
// Pure; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_SWEEP_SUMMARY_H_
#define FOLDFARM_COORDINATOR_CLI_SWEEP_SUMMARY_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "coordinator/cli/eta.h"
#include "coordinator/cli/sweep_history.h"
#include "coordinator/cli/table.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

struct ModelSummary {
  std::string model;
  std::vector<const v1::Job*> jobs;  // By fold; borrowed.
  int pending = 0;
  int running = 0;
  int succeeded = 0;
  int failed = 0;
  int cancelled = 0;
  // Of all its epochs those that are over, in [0, 1].
  double share = 0;
  // Validation log losses of the running fold that is furthest, else of the
  // one that ended last; the newest and the lowest of them. NaN: none yet.
  std::vector<double> curve;
  double last = 0;
  double best = 0;
  // Mean over its folds that are done, of averaged draws. NaN: none yet.
  double score = 0;
  // The newest failure: a job that failed, or that waits to be tried again.
  const v1::Job* trouble = nullptr;

  bool done() const { return pending + running == 0; }
};

// In the sweep's order. `jobs` are borrowed by the result.
std::vector<ModelSummary> SummarizeModels(absl::Span<const v1::Job> jobs,
                                          const SweepHistory& history);

// The share of a job's epochs that are over, in [0, 1]; 1 when it is final.
double JobShare(const v1::Job& job);

// A job as one mark, told apart without colour: ✓ succeeded, ▸ running, ·
// waiting, ↻ waiting to be tried again, ✗ failed, – cancelled.
Cell JobMark(const v1::Job& job);

// The marks and what they mean.
std::string MarkLegend();

// "running", or "paused" when all that is left of it is.
Cell SweepStateCell(const v1::Sweep& sweep);

// "12 of 104 jobs done, 2 running, 89 pending, 1 failed".
std::string CountsText(const v1::Sweep& sweep);

// "3 of 4 slots busy on 2 workers"; "no worker is online". Draining workers
// count, offline ones do not.
Cell WorkersText(absl::Span<const v1::Worker> workers);

// "━━━━━━────": `width` columns, `share` of them full.
std::string ProgressBar(double share, size_t width, bool colour);

// "running  for 1h 20m", "failed  after 2h 05m".
std::string SinceText(const v1::Sweep& sweep, absl::Time now);

// LeftText with the time of day, for what is minutes away: "12m 05s left, until
// 14:32"; with the day when that is another: "until Tue 02:10".
std::string LeftUntilText(const TimeLeft& left, absl::Time now,
                          absl::TimeZone zone);

// The first line of an error.
std::string FirstLine(absl::string_view text);

// `text` cut or padded to `width` columns.
std::string Pad(absl::string_view text, size_t width, bool right = false);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_SWEEP_SUMMARY_H_
