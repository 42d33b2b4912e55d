// What every kind of training hands back.
#ifndef FOLDFARM_WORKER_TRAINING_PREDICTIONS_H_
#define FOLDFARM_WORKER_TRAINING_PREDICTIONS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace foldfarm {

// Probabilities of the validation samples, in their order, row-major.
struct Predictions {
  int64_t num_samples = 0;
  int64_t num_labels = 0;
  int64_t num_draws = 0;
  std::vector<float> draws;          // [num_draws, num_samples, num_labels]
  std::vector<float> probabilities;  // [num_samples, num_labels]: their mean
};

// Metrics of an epoch by name: train_loss, lr (of the last step),
// samples_per_second (training alone), seconds (of the whole epoch), stage
// (from 1, where there are several); and, when the held-out samples were
// scored, log_loss (clip 1e-3), log_loss_clip_1e_2 and accuracy.
using Metrics = std::map<std::string, double>;

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_PREDICTIONS_H_
