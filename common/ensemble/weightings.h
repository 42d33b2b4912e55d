// Ways to weigh the models of an ensemble, each compared with the plain mean.
//
// A weighted mean is over the models that predict a label, their weights made
// to sum to 1; a label that no model with a weight predicts, but another model
// does, counts with the prior's probability, as in selection.h. All figures are
// log losses shrunk by 0.002.
//
// Weights fitted on the samples that they are scored on flatter themselves. A
// nested figure is honest: each fold is scored with weights that were fitted on
// the other folds.
//
// Pure functions. REQUIRES throughout: an OofMatrix that ValidateOof accepts,
// with at least one model.
#ifndef FOLDFARM_COMMON_ENSEMBLE_WEIGHTINGS_H_
#define FOLDFARM_COMMON_ENSEMBLE_WEIGHTINGS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/ensemble/bootstrap.h"
#include "common/ensemble/oof.h"
#include "common/ensemble/scores.h"

namespace foldfarm {

// [samples, labels]; NaN for labels that no model predicts. `weights` is a
// model each, >= 0 and not all 0.
std::vector<double> WeightedMean(const OofMatrix& oof,
                                 absl::Span<const double> weights);

// How often GrowWithReplacement takes each model, as shares.
std::vector<double> GreedyWeights(const OofMatrix& oof);

struct Weighting {
  // "equal", "greedy", "least log loss".
  std::string name;
  // A model each, fitted on all samples.
  std::vector<double> weights;
  // Of all samples with those weights.
  double log_loss = 0;
  // NaN where the weights are fitted and there is one fold only, as `gain`.
  double nested_log_loss = 0;
  // The plain mean's log loss less `nested_log_loss`, with its interval.
  double gain = 0;
  std::optional<Interval> gain_interval;
};
std::vector<Weighting> CompareWeightings(const OofMatrix& oof,
                                         const BootstrapDraws& draws);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_WEIGHTINGS_H_
