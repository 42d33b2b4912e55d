// Everything that is said of one set of out-of-fold predictions: its scores
// over all samples, by fold, by label and by instrument.
#ifndef FOLDFARM_COMMON_ENSEMBLE_PREDICTION_SCORES_H_
#define FOLDFARM_COMMON_ENSEMBLE_PREDICTION_SCORES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/ensemble/bootstrap.h"
#include "common/ensemble/oof.h"
#include "common/ensemble/scores.h"

namespace foldfarm {

struct OofLabelScores {
  // Index in `OofMatrix::labels`.
  size_t label = 0;
  // Shrunk by 0.002.
  double log_loss = 0;
  // NaN where all samples have the label, or none.
  double auc = 0;
  double average_precision = 0;
  int positive = 0;
  int samples = 0;
  std::optional<Interval> log_loss_interval;
};

struct OofInstrumentScores {
  std::string instrument_type;
  OofScores scores;
};

struct PredictionScores {
  OofScores scores;
  // FoldLogLoss.
  std::vector<double> fold_log_loss;
  // Of the labels that have predictions, in the matrix's order.
  std::vector<OofLabelScores> labels;
  // By instrument's name.
  std::vector<OofInstrumentScores> instruments;
};

// Scores sets of predictions of one matrix's samples. Thread-safe.
class PredictionScorer {
 public:
  // `oof` is borrowed. With intervals a set of predictions takes about a
  // thousand times as long.
  PredictionScorer(const OofMatrix& oof, bool with_intervals);

  // `probabilities` is [samples, labels], with NaN where there is none.
  PredictionScores Score(absl::Span<const double> probabilities) const;

 private:
  struct Part {
    std::vector<size_t> samples;
    OofMatrix oof;  // Without models.
    std::optional<BootstrapDraws> draws;
  };

  const OofMatrix& oof_;
  std::optional<BootstrapDraws> draws_;
  std::vector<Part> instruments_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_PREDICTION_SCORES_H_
