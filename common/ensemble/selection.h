// Which models to take: an ensemble that grows or shrinks, a model at a time.
//
// The ensemble is the plain mean of its models' probabilities, a label's over
// the models that predict it. Selection goes by the log loss shrunk with c =
// 0.002 for all. A label that no member predicts, but another model does,
// counts with the prior's probability, so that ensembles of other labels
// compare. Ties are broken by the models' order in the matrix, so equal input
// gives equal output.
//
// Pure functions. REQUIRES throughout: an OofMatrix that ValidateOof accepts,
// with at least one model.
#ifndef FOLDFARM_COMMON_ENSEMBLE_SELECTION_H_
#define FOLDFARM_COMMON_ENSEMBLE_SELECTION_H_

#include <cstddef>
#include <vector>

#include "common/ensemble/oof.h"

namespace foldfarm {

// One step of a selection.
struct SelectionStep {
  // Index of the model that was added or removed.
  size_t model = 0;
  // Of the mean of the models in the ensemble after this step.
  double log_loss = 0;
};

// Grows an ensemble: starts with the best single model and adds, without
// replacement, whichever model lowers the log loss most (or raises it least),
// until all are in. As many steps as models.
std::vector<SelectionStep> GrowEnsemble(const OofMatrix& oof);

// A tenth of the last digit that people compare.
inline constexpr double kLeastGrowthGain = 1e-5;
inline constexpr size_t kMostGrowthSteps = 100;

// The same, but a model may be taken again and counts that often, until no
// model lowers the log loss by kLeastGrowthGain; at most kMostGrowthSteps.
std::vector<SelectionStep> GrowWithReplacement(const OofMatrix& oof);

// Shrinks the ensemble of all models: removes whichever model's absence lowers
// the log loss most, until one is left. One step less than models.
std::vector<SelectionStep> EliminateBackward(const OofMatrix& oof);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_SELECTION_H_
