// The weights of an ensemble that minimize its log loss.
//
// The log loss of a weighted mean of probabilities is convex in the weights, so
// that there is one minimum and a bound on how far any weights are from it.
//
// Pure function; thread-safe.
#ifndef FOLDFARM_COMMON_ENSEMBLE_LEAST_LOG_LOSS_H_
#define FOLDFARM_COMMON_ENSEMBLE_LEAST_LOG_LOSS_H_

#include <vector>

#include "common/ensemble/oof.h"

namespace foldfarm {

struct LeastLogLoss {
  // A model each, in [0, 1], sum 1.
  std::vector<double> weights;
  // The log loss is at most this much above the minimum.
  double gap = 0;
};

inline constexpr double kLeastLogLossGap = 1e-8;

// Finds the weights, >= 0 and of sum 1, whose weighted mean of the models'
// probabilities, shrunk by 0.002, has the least log loss. Of a label that a
// model does not predict it says what the plain mean of the others says, which
// keeps the problem convex; labels that no model predicts do not count.
//
// `gap` is at most kLeastLogLossGap, but for rounding: then it is what 200
// iterations reached. Where models are equal, so that many weights are best,
// some of those.
//
// REQUIRES: an OofMatrix that ValidateOof accepts, with at least one model.
// Source: Newton's method projected on bounds (Bertsekas, SIAM J. Control
// Optim. 20, 1982), on the log loss plus the weights' sum, whose minimum over
// all weights >= 0 has sum 1 (Kim et al., J. Comput. Graph. Stat. 29, 2020).
LeastLogLoss MinimizeLogLoss(const OofMatrix& oof);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_LEAST_LOG_LOSS_H_
