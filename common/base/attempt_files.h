// Names of files in an attempt's folder: which are the farm's own, and which a
// user's program may bring or leave there.
//
// Both sides of the wire ask here, so that neither has to trust the other.
// Thread-safe.
#ifndef FOLDFARM_COMMON_BASE_ATTEMPT_FILES_H_
#define FOLDFARM_COMMON_BASE_ATTEMPT_FILES_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// The weights that a model starts from (InitSpec).
inline constexpr absl::string_view kInitWeightsFile = "init.weights";
inline constexpr absl::string_view kOofFile = "oof.safetensors";
// What an attempt that predicts leaves (AttemptSpec.predict_samples).
inline constexpr absl::string_view kPredictionsFile = "predictions.safetensors";
inline constexpr absl::string_view kWeightsFile = "weights.safetensors";

// Most files of a result or a checkpoint. Boosted trees leave one a label, and
// two besides.
inline constexpr size_t kMaxResultFiles = 256;
inline constexpr size_t kMostLabelsOfTrees = kMaxResultFiles - 2;

// The boosted trees of one label: "model-clay.ubj". Where the label's name
// cannot be a file's as it is, its place among the model's labels tells the
// file apart, after a '~', which no other has: "model-iron_oxide~2.ubj".
std::string TreesFile(absl::string_view label, size_t place);

// Checks that `name` names a file in the folder and nothing outside it: 1 to
// 100 bytes of UTF-8, no '/', '\', control character or leading or trailing
// space, and not "." or "..".
// Errors: INVALID_ARGUMENT quoting the name.
absl::Status CheckFileName(absl::string_view name);

// The same for a file that a user's program brings (ExecSpec.files): it must
// not stand in the way of the farm's own, such as attempt.json or checkpoint.
absl::Status CheckUserFileName(absl::string_view name);

// The same for a file of a former result, such as weights, that an attempt
// starts with in order to predict. Of the farm's own names it may have those of
// results, but not of predictions.
absl::Status CheckResultFileName(absl::string_view name);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_ATTEMPT_FILES_H_
