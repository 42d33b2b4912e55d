// Means of predictions for samples without truth: over draws, folds and models.
//
// Sums run in the order of the arguments, so equal input gives equal bits. Pure
// functions; thread-safe.
#ifndef FOLDFARM_COMMON_ENSEMBLE_PREDICTION_MEAN_H_
#define FOLDFARM_COMMON_ENSEMBLE_PREDICTION_MEAN_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace foldfarm {

// The mean over the first `count` of `draws` [draws, cells]; over all of them
// when there are fewer. REQUIRES: cells > 0, count > 0, at least one draw.
std::vector<double> MeanOfFirstDraws(absl::Span<const float> draws,
                                     size_t cells, size_t count);

// The weighted mean over models, each [cells]. NaN marks what a model does not
// predict and takes no part; NaN where no model of positive weight predicts.
// REQUIRES: at least one model, all of one size, a weight >= 0 for each.
std::vector<double> WeightedMeanOfModels(
    absl::Span<const std::vector<double>> models,
    absl::Span<const double> weights);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_PREDICTION_MEAN_H_
