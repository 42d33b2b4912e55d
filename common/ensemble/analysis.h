// The analysis of an ensemble: which models are good, which are alike, which to
// take.
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
#ifndef FOLDFARM_COMMON_ENSEMBLE_ANALYSIS_H_
#define FOLDFARM_COMMON_ENSEMBLE_ANALYSIS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/ensemble/oof.h"
#include "common/ensemble/scores.h"

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

// Shrinks the ensemble of all models: removes whichever model's absence lowers
// the log loss most, until one is left. One step less than models.
std::vector<SelectionStep> EliminateBackward(const OofMatrix& oof);

// Pearson's correlation of every model's probabilities with every other's,
// [models, models].
std::vector<double> CorrelationMatrix(const OofMatrix& oof);

// Log loss of the mean of each model's first `count` draws, over the labels
// that any model predicts.
struct TtaPoint {
  int count = 0;
  double log_loss = 0;
};
// The ensemble's score against the number of TTA draws: a point for every count
// of `counts` that all models have draws for. Empty when one has none.
std::vector<TtaPoint> TtaCurve(const OofMatrix& oof,
                               absl::Span<const int> counts);

struct ModelAnalysis {
  // Index in `OofMatrix::models`.
  size_t model = 0;
  std::string name;
  // Over the labels that the model predicts, as all that follows.
  OofScores scores;
  std::vector<double> fold_log_loss;
  // With the ensemble's mean.
  double correlation = 0;
  // ShrunkLogLoss of the prior.
  double prior_log_loss = 0;
};

// All that foldfarm.v1.GetEnsembleResponse says about predictions.
struct EnsembleAnalysis {
  // Best first, by log_loss_shrink_0002.
  std::vector<ModelAnalysis> models;
  OofScores ensemble;
  std::vector<SelectionStep> growth;
  OofScores prior;
  // The labels that any model predicts, on which ensemble and prior are scored,
  // in the matrix's order; the others.
  std::vector<std::string> labels;
  std::vector<std::string> unpredicted_labels;
  // Of the ensemble, in the order of `labels`.
  std::vector<double> label_log_loss;
};
EnsembleAnalysis AnalyzeEnsemble(const OofMatrix& oof);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_ANALYSIS_H_
