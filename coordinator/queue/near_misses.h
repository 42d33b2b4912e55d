// "Did you mean ...?" for messages about names that nobody knows.
#ifndef FOLDFARM_COORDINATOR_QUEUE_NEAR_MISSES_H_
#define FOLDFARM_COORDINATOR_QUEUE_NEAR_MISSES_H_

#include <string>
#include <vector>

namespace foldfarm {

// Those of `candidates` that differ from `name` least, for a message:
// "; did you mean a, b?" or nothing.
std::string NearMisses(const std::string& name,
                       const std::vector<std::string>& candidates);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_NEAR_MISSES_H_
