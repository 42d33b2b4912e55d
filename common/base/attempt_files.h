// Names of files in an attempt's folder: which are the farm's own, and which a
// user's program may bring or leave there.
//
// Both sides of the wire ask here, so that neither has to trust the other.
// Thread-safe.
#ifndef FOLDFARM_COMMON_BASE_ATTEMPT_FILES_H_
#define FOLDFARM_COMMON_BASE_ATTEMPT_FILES_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// The weights that a model starts from (InitSpec).
inline constexpr absl::string_view kInitWeightsFile = "init.weights";
inline constexpr absl::string_view kOofFile = "oof.safetensors";
// What an attempt that predicts leaves (AttemptSpec.predict_samples).
inline constexpr absl::string_view kPredictionsFile = "predictions.safetensors";
inline constexpr absl::string_view kWeightsFile = "weights.safetensors";

// Checks that `name` names a file in the folder and nothing outside it: 1 to
// 100 bytes of UTF-8, no '/', '\', control character or leading or trailing
// space, and not "." or "..".
// Errors: INVALID_ARGUMENT quoting the name.
absl::Status CheckFileName(absl::string_view name);

// The same for a file that a user's program brings (ExecSpec.files): it must
// not stand in the way of the farm's own, such as attempt.json or checkpoint.
absl::Status CheckUserFileName(absl::string_view name);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_ATTEMPT_FILES_H_
