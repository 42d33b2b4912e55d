// Refuses `screen` and `stop_when` where they cannot do anything, or not what
// they say.
#ifndef FOLDFARM_COMMON_SWEEP_CHECK_RULES_H_
#define FOLDFARM_COMMON_SWEEP_CHECK_RULES_H_

#include "common/sweep/sweep_errors.h"
#include "common/sweep/yaml_tree.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// `root`: the file; `spec`: the sweep, complete. `read_whole`: no mistake was
// met in reading, so what is absent is not just unread.
void CheckScreenAndStop(const YamlNode& root, const v1::SweepSpec& spec,
                        bool read_whole, SweepErrors& errors);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_CHECK_RULES_H_
