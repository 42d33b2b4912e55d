// What of a model decides its result, as text: the part of a result's key that
// says how it was trained.
//
// Pure: equal models give equal text on every machine.
#ifndef FOLDFARM_COORDINATOR_QUEUE_MODEL_KEY_H_
#define FOLDFARM_COORDINATOR_QUEUE_MODEL_KEY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// The model as proto3 JSON without what leaves the result as it is: its name
// and seed (the job's own seed counts), the name under which its weights were
// registered (their digest counts), the order of its labels and whether its
// last checkpoint is kept. `own` holds its labels in the dataset's order, `all`
// the dataset's.
//
// Errors: INVALID_ARGUMENT when it is not valid UTF-8.
absl::StatusOr<std::string> ModelKey(const v1::ModelSpec& model,
                                     const std::vector<std::string>& own,
                                     const std::vector<std::string>& all);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_MODEL_KEY_H_
