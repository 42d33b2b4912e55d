// The shrink constant that fits best, and what choosing it gains in truth.
//
// Pure functions. REQUIRES throughout: an OofMatrix that ValidateOof accepts,
// probabilities [samples, labels] of which at least one is not NaN.
#ifndef FOLDFARM_COMMON_ENSEMBLE_SHRINK_FIT_H_
#define FOLDFARM_COMMON_ENSEMBLE_SHRINK_FIT_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/ensemble/oof.h"

namespace foldfarm {

// Where a constant is looked for; none at all is not to be had, for a certain
// prediction that is wrong would cost infinitely much.
inline constexpr double kLeastShrink = 1e-6;
inline constexpr double kMostShrink = 0.5;

// The c in [kLeastShrink, kMostShrink] whose ShrunkLogLoss is least, to 1e-9.
// The log loss is convex in c.
double BestShrinkConstant(absl::Span<const double> truth,
                          absl::Span<const double> probabilities);

struct ShrinkFit {
  // Empty: over all samples, with one constant for all.
  std::string instrument_type;
  double constant = 0;
  // InstrumentLogLoss of the same samples, for comparison.
  double log_loss = 0;
  // Each fold shrunk by the constant that is best on the other folds; NaN where
  // the samples are of one fold only.
  double nested_log_loss = 0;
};

// Over all samples, then by instrument's name.
std::vector<ShrinkFit> FitShrink(const OofMatrix& oof,
                                 absl::Span<const double> probabilities);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_SHRINK_FIT_H_
