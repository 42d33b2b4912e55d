// What jobs cost: seconds an epoch by model and worker, and the time around a
// job's epochs, fitted to what a sweep's jobs took so far.
//
// Immutable once made; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_PACE_MODEL_H_
#define FOLDFARM_COORDINATOR_CLI_PACE_MODEL_H_

#include <map>
#include <string>
#include <vector>

#include "coordinator/cli/eta.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

class PaceModel {
 public:
  explicit PaceModel(const EtaInput& input);

  // Some epoch was measured.
  bool knows_anything() const { return !model_cost_.empty(); }

  // Seconds until a job that runs ends.
  double Remaining(const v1::Job& job) const;

  // Seconds that a job which waits will take on a worker ("": an average one).
  double Total(const v1::Job& job, const std::string& worker) const;

  // How far off, as a share, an estimate for the job may be.
  double Doubt(const v1::Job& job) const;

 private:
  // Epochs measured of a job, and what one took without warm-up.
  struct Measured {
    std::string model;
    std::string worker;
    double log_seconds = 0;
    double weight = 0;
  };
  // The time around a job's epochs: startup + prediction x seconds an epoch.
  struct Overhead {
    double startup = 0.5;
    double prediction = 0;
  };

  double OwnPace(const v1::Job& job, int* epochs) const;
  void FitWarmUp();
  void FitPaces();
  void FitOverhead();
  double Seconds(const std::string& model, const std::string& worker) const;
  // The epochs that a job will have when it ends: fewer than its goal when
  // others stopped early.
  double EndEpoch(const v1::Job& job) const;
  // The time around the epochs of a job of `model` that take `seconds` each.
  double OverheadOf(const std::string& model, double seconds) const;

  const EtaInput input_;
  const SweepHistory no_history_;
  const SweepHistory& history_;
  // A first epoch takes so many times the others.
  double warm_up_ = 1;
  std::map<std::string, double> model_cost_;   // Log of seconds an epoch.
  std::map<std::string, double> worker_cost_;  // Log of a factor.
  double typical_cost_ = 0;                    // Median of model_cost_.
  std::map<std::string, int> epochs_seen_;     // By model.
  std::map<std::string, int> jobs_done_;       // By model.
  std::map<std::string, double> model_overhead_;
  std::map<std::string, double> model_end_;  // Share of the goal's epochs.
  double typical_end_ = 1;
  Overhead overhead_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_PACE_MODEL_H_
