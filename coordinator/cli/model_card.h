// MODEL_CARD.md of a bundle: what it is, what it is for, how good it is.
#ifndef FOLDFARM_COORDINATOR_CLI_MODEL_CARD_H_
#define FOLDFARM_COORDINATOR_CLI_MODEL_CARD_H_

#include <string>

#include "common/bundle/bundle.h"
#include "coordinator/cli/bundle_plan.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// Markdown. `weights` is how the models were weighed ("equal"); `directory`
// stands in examples.
std::string ModelCard(const Bundle& bundle, const BundleFigures& figures,
                      const v1::Dataset& dataset, const BundlePlan& plan,
                      const std::string& weights, const std::string& directory);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_MODEL_CARD_H_
