// The analysis of an ensemble: which models are good, which are alike, which to
// take.
//
// The ensemble is the plain mean of its models' probabilities, a label's over
// the models that predict it. Equal input gives equal output.
//
// Pure functions. REQUIRES throughout: an OofMatrix that ValidateOof accepts,
// with at least one model.
#ifndef FOLDFARM_COMMON_ENSEMBLE_ANALYSIS_H_
#define FOLDFARM_COMMON_ENSEMBLE_ANALYSIS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "common/ensemble/oof.h"
#include "common/ensemble/prediction_scores.h"
#include "common/ensemble/scores.h"
#include "common/ensemble/selection.h"
#include "common/ensemble/shrink_fit.h"
#include "common/ensemble/weightings.h"

namespace foldfarm {

// Pearson's correlation of every model's probabilities with every other's,
// [models, models].
std::vector<double> CorrelationMatrix(const OofMatrix& oof);

struct TtaPoint {
  int draws = 0;
  double log_loss = 0;
};
// ShrunkLogLoss of the ensemble against the number of TTA draws: at 1, 2, 4,
// 8... and at as many as the model with most has, where it is the ensemble's.
// A model counts with the mean of its first draws, and with that of all where
// it has fewer. Empty when no model has any.
std::vector<TtaPoint> TtaCurve(const OofMatrix& oof);

// Its scores are over the labels that the model predicts.
struct ModelAnalysis : PredictionScores {
  // Index in `OofMatrix::models`.
  size_t model = 0;
  std::string name;
  // With the ensemble's mean.
  double correlation = 0;
  // With each of `EnsembleAnalysis::models`, in that order.
  std::vector<double> correlations;
  // ShrunkLogLoss of the prior over the same labels.
  double prior_log_loss = 0;
};

// All that foldfarm.v1.GetEnsembleResponse says about predictions.
struct EnsembleAnalysis {
  // Best first, by log_loss_shrink_0002.
  std::vector<ModelAnalysis> models;
  PredictionScores ensemble;
  std::vector<SelectionStep> growth;
  OofScores prior;
  // The labels that any model predicts, on which ensemble and prior are scored,
  // in the matrix's order; the others.
  std::vector<std::string> labels;
  std::vector<std::string> unpredicted_labels;

  // With AnalysisOptions::full.
  std::vector<SelectionStep> growth_with_replacement;
  std::vector<SelectionStep> elimination;
  std::vector<TtaPoint> tta;
  std::vector<ShrinkFit> shrink;
  // Weights in the order of `models`.
  std::vector<Weighting> weightings;
};

struct AnalysisOptions {
  // Also what takes seconds: intervals, and all that is marked above.
  bool full = false;
};
EnsembleAnalysis AnalyzeEnsemble(const OofMatrix& oof,
                                 const AnalysisOptions& options = {});

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_ANALYSIS_H_
