// What a watcher remembers of a sweep's epochs: the log loss by epoch, for
// curves, and what epochs took, for the estimate of the time left.
//
// Jobs as the coordinator sends them carry their newest log loss and the mean
// of their epochs' seconds; the difference between two of them is what the
// epochs in between took. Epochs that were over before come from GetMetrics.
// Not thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_SWEEP_HISTORY_H_
#define FOLDFARM_COORDINATOR_CLI_SWEEP_HISTORY_H_

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

class SweepHistory {
 public:
  // What is known of how long epochs of a job take, over its newest ones.
  struct Pace {
    double seconds = 0;  // Of `epochs` epochs together.
    int epochs = 0;
    // How many of them were the first of an attempt, which warms up.
    int first_epochs = 0;
    // What such a first epoch took by itself; 0 when that is not known.
    double first_seconds = 0;
  };

  // Takes in a job as the stream brought it at `now`.
  void Observe(const v1::Job& job, absl::Time now);

  // Takes in all epochs that the coordinator has of a job.
  void Add(const std::string& job, const v1::GetMetricsResponse& metrics);

  // Validation log losses of a job, oldest epoch first, without epochs that
  // had none.
  std::vector<double> Curve(const std::string& job) const;

  // `epochs` is 0 when nothing is known.
  Pace PaceOf(const v1::Job& job) const;

  // Epochs before the first that is known of a job: those of the job of another
  // sweep that it trains on from.
  int EpochsBefore(const std::string& job) const;

  // When the newest epoch of a job came; InfinitePast when it was not seen.
  absl::Time LastEpochTime(const std::string& job) const;

 private:
  struct Point {
    int epoch = 0;
    double log_loss = 0;  // NaN: none.
    double seconds = 0;   // Of the epochs since the last point; 0: not known.
    int epochs = 1;
    bool has_first = false;  // One of them was the first of an attempt.
  };
  struct Track {
    std::vector<Point> points;  // By epoch.
    int attempt = 0;
    int epoch = 0;
    double mean = 0;  // Job.seconds_per_epoch.
    // The epoch that the attempt began after; -1 when it was not seen.
    int resumed = -1;
    absl::Time last_epoch_time = absl::InfinitePast();
  };
  std::map<std::string, Track> tracks_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_SWEEP_HISTORY_H_
