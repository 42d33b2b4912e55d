// Scores of out-of-fold predictions: log loss, accuracy, ranking, correlation.
//
// A log loss is the mean binary cross-entropy over samples and labels, in nats.
// Before the logarithm probabilities are kept away from 0 and 1, either shrunk,
// p * (1 - 2c) + c, or clipped to [e, 1 - e]; so it is finite for any p in [0,
// 1].
//
// A probability of NaN is one that nobody gave: its cell is left out, and a
// score of no cells at all is NaN.
//
// Pure functions over flat [samples, labels] arrays. REQUIRES throughout: spans
// of equal, non-zero length; an OofMatrix that ValidateOof accepts.
#ifndef FOLDFARM_COMMON_ENSEMBLE_SCORES_H_
#define FOLDFARM_COMMON_ENSEMBLE_SCORES_H_

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/ensemble/oof.h"

namespace foldfarm {

// Shrink constants. Source: the recipe, section 6.
inline constexpr double kShrinkCommercial = 0.002;
inline constexpr double kShrinkSamTestbed = 0.01;

// kShrinkSamTestbed for "sam_testbed", else kShrinkCommercial.
double ShrinkConstant(absl::string_view instrument_type);

// p * (1 - 2c) + c.
inline double Shrink(double p, double c) { return p * (1.0 - 2.0 * c) + c; }

// Binary cross-entropy of one cell, in nats; a soft truth is weighted.
// REQUIRES: 0 < p < 1.
double CrossEntropy(double truth, double p);

// The log loss of probabilities shrunk by `c`. REQUIRES: 0 < c < 0.5.
double ShrunkLogLoss(absl::Span<const double> truth,
                     absl::Span<const double> probabilities,
                     double c = kShrinkCommercial);

// The same with each sample's own ShrinkConstant.
double InstrumentLogLoss(const OofMatrix& oof,
                         absl::Span<const double> probabilities);

// The log loss of probabilities clipped to [epsilon, 1 - epsilon].
double ClippedLogLoss(absl::Span<const double> truth,
                      absl::Span<const double> probabilities, double epsilon);

// Whether a probability is on the right side of 0.5; 0.5 itself counts as
// "absent".
inline bool IsRight(double truth, double p) {
  return (p > 0.5) == (truth > 0.5);
}

// Share of (sample, label) pairs that are right.
double Accuracy(absl::Span<const double> truth,
                absl::Span<const double> probabilities);

// Pearson's correlation in [-1, 1], over pairs of which neither is NaN; 0 when
// either side is constant.
double PearsonCorrelation(absl::Span<const double> a,
                          absl::Span<const double> b);

// ShrunkLogLoss a label, in the order of `oof.labels`.
std::vector<double> LabelLogLoss(const OofMatrix& oof,
                                 absl::Span<const double> probabilities);

// ShrunkLogLoss a fold, from fold 0 to the largest; NaN for a fold without
// predictions.
std::vector<double> FoldLogLoss(const OofMatrix& oof,
                                absl::Span<const double> probabilities);

// A 95 % interval, for foldfarm.v1.Interval; see bootstrap.h.
struct Interval {
  double low = 0;
  double high = 0;
};

// All scores of one set of predictions; the fields of foldfarm.v1.Scores.
struct OofScores {
  double log_loss = 0;              // InstrumentLogLoss.
  double log_loss_shrink_0002 = 0;  // ShrunkLogLoss, c = 0.002.
  double log_loss_clip_1e_3 = 0;
  double log_loss_clip_1e_2 = 0;
  double accuracy = 0;
  int samples = 0;
  // Means over labels, see ranking.h; NaN when no label has both sides.
  double auc = 0;
  double average_precision = 0;

  // Unset unless asked for, and where no draw has a figure.
  std::optional<Interval> log_loss_interval;
  std::optional<Interval> log_loss_shrink_0002_interval;
  std::optional<Interval> accuracy_interval;
  std::optional<Interval> auc_interval;
  std::optional<Interval> average_precision_interval;
};
// Without intervals.
OofScores Score(const OofMatrix& oof, absl::Span<const double> probabilities);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_SCORES_H_
