// Makes the models of a sweep complete in themselves and checks them as wholes.
#ifndef FOLDFARM_COMMON_SWEEP_EXPAND_H_
#define FOLDFARM_COMMON_SWEEP_EXPAND_H_

#include "common/sweep/set_options.h"
#include "common/sweep/sweep_errors.h"
#include "common/sweep/yaml_tree.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// Expands `spec`, which was read from `root`: its models, `defaults`, `folds`
// and the rules' defaults. What options cannot tell alone is checked here:
// names, `like`, options that must fit each other. `set` wins over all layers
// of every model and of its stages; the sweep's part of it is in `spec`.
//
// Mistakes go to `errors` with their places in `root`; after any the spec is of
// no use.
void ExpandSweep(const YamlNode& root, SetOptions& set, v1::SweepSpec& spec,
                 SweepErrors& errors);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_EXPAND_H_
