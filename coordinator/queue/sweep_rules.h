// What a sweep decides for itself: `screen` and `stop_when`.
//
// Both compare ensembles by the log loss shrunk with c = 0.002. A label that
// the models at hand do not predict counts with the prior's probability, so
// that models of other labels compare.
//
// Pure functions: predictions come in as a matrix, the decision goes out, equal
// input gives equal output. JobQueue knows when to ask and what to do then.
#ifndef FOLDFARM_COORDINATOR_QUEUE_SWEEP_RULES_H_
#define FOLDFARM_COORDINATOR_QUEUE_SWEEP_RULES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/ensemble/oof.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// The fold on which all models are tried first; none: no screening.
std::optional<int> TrialFold(const v1::SweepSpec& spec);

// Whether `stop_when` can end the sweep.
bool StopsEarly(const v1::SweepSpec& spec);

// Checks both for a sweep of so many folds; the parser of sweep files has
// checked the same with line and column.
// Errors: INVALID_ARGUMENT naming the option.
absl::Status CheckRules(const v1::SweepSpec& spec, int folds);

// A model's place after the trial.
struct RankedModel {
  // Index in OofMatrix::models.
  size_t model = 0;
  // Its own on the trial's samples.
  double log_loss = 0;
};

// Ranks models by their predictions of the trial fold, best first, as
// ScreenSpec.by says; ties go to the earlier model of the matrix.
//
// log_loss and correlation: the order in which GrowEnsemble takes them.
// log_loss: their own. correlation: first the one of least log loss, then
// always the one whose greatest correlation with a model taken before is least.
//
// REQUIRES: `trial` is valid (ValidateOof) and has a model; CheckRules is OK.
std::vector<RankedModel> RankModels(const OofMatrix& trial,
                                    const v1::ScreenSpec& screen);

// Why and when a sweep may stop.
struct StopPoint {
  // The rule fired when so many models were complete.
  size_t models = 0;
  // Of their mean.
  double log_loss = 0;
  // Of the last `for_models` of them, in the order of completion.
  std::vector<double> gains;
};

// Finds the first point at which `for_models` models in a row gained less than
// `ensemble_gain_below`. The first model is the start and no gain. What
// completes later changes nothing about a point that was found.
//
// `oof`: the complete models, in the order of their completion. `labels`: which
// labels any model of the sweep predicts; others are not scored.
// REQUIRES: as RankModels.
std::optional<StopPoint> FindStop(const OofMatrix& oof,
                                  const std::vector<bool>& labels,
                                  const v1::StopWhenSpec& rule);

// For people: "stopped: the last 4 models gained less than 0.0002".
std::string StopNote(const v1::StopWhenSpec& rule);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_SWEEP_RULES_H_
