// Refuses options that one training cannot keep together.
#ifndef FOLDFARM_WORKER_TRAINING_OPTION_CHECK_H_
#define FOLDFARM_WORKER_TRAINING_OPTION_CHECK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "worker/training/train_options.h"

namespace foldfarm {

// Errors: INVALID_ARGUMENT naming the option, for fewer than two train samples
// too.
absl::Status CheckTrainOptions(const TrainOptions& options, int64_t num_train,
                               int64_t num_validation);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_OPTION_CHECK_H_
