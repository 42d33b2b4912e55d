// A made farm that runs in no time: what a coordinator would say of a sweep at
// any moment, and when it will in truth be over.
//
// Models and workers differ in speed; epochs and jobs scatter; the first epoch
// of an attempt is slower; jobs start and predict around their epochs. Jobs are
// dealt to free slots in the sweep's order, as the coordinator does it. The
// same options give the same farm.
#ifndef FOLDFARM_TESTS_COORDINATOR_CLI_FARM_SIMULATION_H_
#define FOLDFARM_TESTS_COORDINATOR_CLI_FARM_SIMULATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/cli/sweep_history.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

struct SimulatedModel {
  std::string name;
  int epochs = 0;
  double epoch_seconds = 0;
};

struct SimulatedWorker {
  std::string name;
  int slots = 1;
  double slowness = 1;  // Times the model's seconds.
};

struct SimulationOptions {
  std::vector<SimulatedModel> models;
  std::vector<SimulatedWorker> workers;
  int folds = 4;
  bool fold_major = true;
  double startup_seconds = 1;
  double prediction_epochs = 2;
  double warm_up = 1.1;      // The first epoch takes so many times the others.
  double epoch_noise = 0.1;  // Standard deviations of the log.
  double job_noise = 0.03;
  uint32_t seed = 1;
};

class FarmSimulation {
 public:
  explicit FarmSimulation(const SimulationOptions& options);

  // Seconds since the sweep was submitted, here and below.
  double end() const { return end_; }
  // When the last of the models finished its first epoch.
  double first_epoch_of_each_model() const { return first_epochs_; }

  // The jobs and workers as the coordinator has them at `seconds`.
  std::vector<v1::Job> JobsAt(double seconds) const;
  std::vector<v1::Worker> WorkersAt(double seconds) const;
  absl::Time TimeAt(double seconds) const {
    return absl::FromUnixSeconds(1'000'000) + absl::Seconds(seconds);
  }

  // Shows `history` all that happened in (from, to], as a stream would.
  void Replay(double from, double to, SweepHistory& history) const;

 private:
  struct SimulatedJob {
    int model = 0;
    int fold = 0;
    int worker = 0;
    double start = 0;
    std::vector<double> epoch_ends;
    double end = 0;
  };
  v1::Job View(const SimulatedJob& job, double seconds) const;

  const SimulationOptions options_;
  std::vector<SimulatedJob> jobs_;  // In the sweep's order.
  double end_ = 0;
  double first_epochs_ = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_CLI_FARM_SIMULATION_H_
