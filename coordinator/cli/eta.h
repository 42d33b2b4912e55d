// How long a sweep will take yet, from what its epochs and jobs took so far.
//
// 1. An epoch of a model on a worker takes (the model's cost) x (the worker's
//    slowness); both are fitted to all epochs that were measured. An attempt's
//    first epoch warms up and is put right by what that cost others.
// 2. Around its epochs a job starts and, at the end, predicts: a constant and
//    some epochs' worth of time, fitted to the jobs that are done.
// 3. The jobs that are left are dealt to the workers' slots in their order, as
//    the coordinator will do it.
// Pure; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_ETA_H_
#define FOLDFARM_COORDINATOR_CLI_ETA_H_

#include <map>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "coordinator/cli/sweep_history.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

// A time left, with how far off it may be; infinite when nothing is known.
struct TimeLeft {
  absl::Duration likely = absl::InfiniteDuration();
  absl::Duration low = absl::InfiniteDuration();
  absl::Duration high = absl::InfiniteDuration();

  bool known() const { return likely != absl::InfiniteDuration(); }
};

struct Estimate {
  // Until all jobs are final.
  TimeLeft sweep;
  // Until running jobs end, by name.
  std::map<std::string, TimeLeft> jobs;
  // Until all jobs of a model are final, by model; of models with open jobs.
  std::map<std::string, TimeLeft> models;
};

struct EtaInput {
  absl::Span<const v1::Job> jobs;  // In the sweep's order.
  absl::Time now;
  const SweepHistory* history = nullptr;  // Borrowed; null: only the jobs.
  // Without, as many jobs run at a time as run now.
  absl::Span<const v1::Worker> workers;
  // What predicting costs at the end of a job, in epochs, before any job is
  // done; see PredictionEpochs.
  double prediction_epochs = 1.8;
};

Estimate EstimateRemaining(const EtaInput& input);

// `tta` draws of one fold against an epoch over all others, if a step of
// training takes three times a prediction (forward, and backward at twice its
// cost).
double PredictionEpochs(int tta, int folds);

// "12m 05s left" when that is well known, "about 12m left", or "8m to 25m left"
// when it is a guess; "" when nothing is known or nothing is left.
std::string LeftText(const TimeLeft& left);

// The likely time in few columns: "12m 05s", or "~12m" when it is a guess; "".
std::string ShortLeftText(const TimeLeft& left);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_ETA_H_
