// Whether a file of out-of-fold predictions is a result.
#ifndef FOLDFARM_COORDINATOR_QUEUE_RESULT_CHECK_H_
#define FOLDFARM_COORDINATOR_QUEUE_RESULT_CHECK_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "foldfarm/v1/job.pb.h"

namespace foldfarm {

// Names of a result's files.
inline constexpr absl::string_view kOofFile = "oof.safetensors";

// Checks predictions for the fold's `validation_samples`: each sample once, in
// any order, and no other; the dataset's labels in its order; probabilities,
// and the draws they are means of, finite and in [0, 1].
//
// Errors: INVALID_ARGUMENT naming the sample, label and value at fault; those
// of reading the file.
absl::Status CheckOofFile(const std::string& path, const v1::AttemptSpec& fold,
                          const std::vector<std::string>& labels);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_RESULT_CHECK_H_
