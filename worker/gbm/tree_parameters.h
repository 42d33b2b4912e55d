// The options of trees in XGBoost's words.
#ifndef FOLDFARM_WORKER_GBM_TREE_PARAMETERS_H_
#define FOLDFARM_WORKER_GBM_TREE_PARAMETERS_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/types/span.h"
#include "worker/models/model_options.h"

namespace foldfarm {

// What a seed is derived from: the job's, and whose trees of which epoch.
struct TreeSeed {
  uint32_t job = 0;
  uint32_t model = 0;
  uint32_t epoch = 0;
};

// XGBoost's parameters for growing the trees of one epoch of one model.
// `labels`: 0 or 1, of the training rows and all outputs of the model; boosting
// starts from their share of positives, a positive weighing `positive_weight`.
// The same on every machine.
std::map<std::string, std::string> TreeParameters(
    const XgboostOptions& options, absl::Span<const float> labels,
    double positive_weight, const TreeSeed& seed, int threads);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_GBM_TREE_PARAMETERS_H_
