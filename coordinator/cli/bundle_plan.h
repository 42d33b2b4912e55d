// What goes into a bundle: which models of a sweep, with which weights, and how
// good that is on out-of-fold predictions. Predictions on the farm are weighed
// alike.
//
// Pure but for FetchComplete, which asks the farm.
#ifndef FOLDFARM_COORDINATOR_CLI_BUNDLE_PLAN_H_
#define FOLDFARM_COORDINATOR_CLI_BUNDLE_PLAN_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ensemble/oof.h"
#include "common/ensemble/scores.h"
#include "coordinator/cli/farm_client.h"

namespace foldfarm {

// Out-of-fold predictions of all models of a sweep that are complete.
// Errors: those of the call; FAILED_PRECONDITION when no model is complete.
absl::StatusOr<OofMatrix> FetchComplete(FarmClient& client,
                                        const std::string& sweep);

// A choice: of `oof.models`, and the weight of each, sum 1.
struct BundlePlan {
  std::vector<size_t> models;
  std::vector<double> weights;
  // Log loss (shrunk by 0.002) chose the models, on the same samples.
  bool greedy = false;
};

// Which models `choice` means: "" all; "greedy:N" the first N of greedy growth;
// or names with commas between.
// Errors: INVALID_ARGUMENT for a malformed choice; NOT_FOUND for a model that
// the sweep does not have or that is not complete, with near misses.
absl::StatusOr<BundlePlan> ChooseModels(const OofMatrix& oof,
                                        const std::string& choice);

// Weighs the plan's models: "equal", or with weights that "greedy"
// (GreedyWeights) or "least-log-loss" (MinimizeLogLoss) fit to the predictions
// of just these models. Who then weighs nothing leaves the plan; returns their
// names. But a model stays, with next to no weight, that is the last to predict
// some label. REQUIRES: `weights` is one of these.
std::vector<std::string> WeighModels(const OofMatrix& oof,
                                     const std::string& weights,
                                     BundlePlan& plan);

// The models' weighted mean, [samples, labels]; a label's is over the models
// that predict it, NaN where none does.
std::vector<double> WeightedMean(const OofMatrix& oof, const BundlePlan& plan);

struct NamedScores {
  std::string name;
  double weight = 0;  // Of models.
  OofScores scores;
};

// Out-of-fold figures of a bundle.
struct BundleFigures {
  OofScores ensemble;
  std::vector<NamedScores> models;       // In the plan's order.
  std::vector<NamedScores> instruments;  // By name.
  // Log loss (shrunk by 0.002) and positives of each label that is predicted.
  struct Label {
    std::string name;
    double log_loss = 0;
    int positive = 0;
  };
  std::vector<Label> labels;
  int folds = 0;
};
BundleFigures FiguresOf(const OofMatrix& oof, const BundlePlan& plan);

// As bundle.json's "oof" has them.
std::string FiguresJson(const BundleFigures& figures);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_BUNDLE_PLAN_H_
