// When to stop a training whose held-out loss no longer falls.
#ifndef FOLDFARM_WORKER_TRAINING_EARLY_STOPPING_H_
#define FOLDFARM_WORKER_TRAINING_EARLY_STOPPING_H_

#include <limits>

namespace foldfarm {

// Plain values: copied into checkpoints and back.
struct EarlyStopping {
  int patience = 0;      // Scores without improvement; 0: never stops.
  double min_delta = 0;  // What counts as an improvement.

  double best_loss = std::numeric_limits<double>::infinity();
  int best_epoch = 0;  // 1-based; 0: nothing scored yet.
  int worse = 0;       // Scores since the best.

  // Takes the score of an epoch; true when it is the best so far. A loss that
  // is not a number never is.
  bool Add(double loss, int epoch) {
    const bool better = loss < best_loss - min_delta;
    worse = better ? 0 : worse + 1;
    if (!better) return false;
    best_loss = loss;
    best_epoch = epoch;
    return true;
  }
  bool ShouldStop() const { return patience > 0 && worse >= patience; }
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_EARLY_STOPPING_H_
