// Whose networks predict: those of a sweep on the farm, and which of them.
#ifndef FOLDFARM_COORDINATOR_CLI_PREDICT_SOURCE_H_
#define FOLDFARM_COORDINATOR_CLI_PREDICT_SOURCE_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/farm_client.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

struct PredictSource {
  struct Model {
    std::string name;
    // Why it cannot predict; empty: it can.
    std::string obstacle;
    // Changes when its networks do.
    std::string version;
  };
  // The sweep's id, or the bundle's name.
  std::string name;
  // What a sweep was trained on; empty: it is a bundle.
  std::string dataset;
  std::vector<std::string> labels;
  // Prevalence of each label among the samples trained on; empty: not known.
  std::vector<double> prior;
  std::vector<Model> models;
  // Of a bundle: what the request carries, its own draws (0: a sweep's, which
  // the farm knows) and how much each model counts unless told otherwise.
  std::vector<v1::BundleModel> bundle;
  int tta = 0;
  std::map<std::string, double> weights;
};

// Errors: NOT_FOUND; FAILED_PRECONDITION for a sweep that itself predicts.
absl::StatusOr<PredictSource> ReadSweepSource(FarmClient& client,
                                              const std::string& sweep);

// Which models predict, and how much each counts.
struct ModelChoice {
  // In the order of the source.
  std::vector<std::string> names;
  // By model, of those that do not count equally; empty: all do.
  std::map<std::string, double> weights;
  // Models that were meant but cannot predict, or weigh nothing; with why.
  std::vector<std::pair<std::string, std::string>> left_out;
};

// `models` is "" (all), names with commas between, or "greedy:N", the first N
// by which the ensemble grows best. `weights` is "" (the source's own, or
// equal), "equal", or "greedy" or "least-log-loss": fitted to the out-of-fold
// predictions of just those models, as WeighModels (bundle_plan.h) does.
//
// Errors: NOT_FOUND for a model that is not there; INVALID_ARGUMENT for another
// form; FAILED_PRECONDITION when a model named cannot predict, or none can, or
// a bundle's are to be chosen or weighed by predictions; those of GetEnsemble
// and FetchComplete.
absl::StatusOr<ModelChoice> ChoosePredictingModels(FarmClient& client,
                                                   const PredictSource& source,
                                                   const std::string& models,
                                                   const std::string& weights);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_PREDICT_SOURCE_H_
