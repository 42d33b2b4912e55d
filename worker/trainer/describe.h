// What models cost, before any of them is trained.
//
// Networks are built and run once on two made images while Torch's own hooks
// count: the multiply-adds of convolutions, matrix products and recurrent
// layers, and the bytes that stay allocated for the backward pass. Models with
// the same network are measured once.
#ifndef FOLDFARM_WORKER_TRAINER_DESCRIBE_H_
#define FOLDFARM_WORKER_TRAINER_DESCRIBE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// What an attempt needs besides its network: Torch itself, the renderer, a
// dataset like the Mars one.
inline constexpr double kRuntimeBytes = 400e6;

// Takes {"labels": 10, "models": [ModelSpec as proto3 JSON, ...]} and returns
// {"models": [{"name": ..., "parameters": N, "multiply_adds": N,
// "memory_bytes": N}, ...]} in the same order.
//
// `multiply_adds`: of one image forward. `memory_bytes`: an estimate for an
// attempt on a CPU at the model's batch size. A figure that has no meaning for
// an architecture (trees, a program of the user's own) is null. A model that
// cannot be built has {"name": ..., "error": ...} instead.
//
// Errors: INVALID_ARGUMENT when the document itself is not as above.
absl::StatusOr<std::string> DescribeModels(absl::string_view document);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_DESCRIBE_H_
