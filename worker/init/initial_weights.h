// Starts a network from weights that somebody published.
#ifndef FOLDFARM_WORKER_INIT_INITIAL_WEIGHTS_H_
#define FOLDFARM_WORKER_INIT_INITIAL_WEIGHTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/model.h"
#include "worker/models/model_options.h"

namespace foldfarm {

// Copies what fits of the file at `path` into the network's parameters and
// buffers, which are on the CPU. The first convolution is adapted to 1 or 3
// channels as timm does: to 1 by the sum over the file's channels, to 3 by
// repeating them, scaled so that the sum stays. Numbers of other widths are
// converted. Everything else keeps its random start.
//
// Returns what was done, for people: a few lines.
// Errors: INTERNAL when there is no file; INVALID_ARGUMENT when it cannot be
// read, is of another format than options.format, has values that are not
// finite, or fits less than options.min_loaded of the network's values; then
// the network is as it was unless the values were at fault.
// Source: timm 0.5.4, adapt_input_conv.
absl::StatusOr<std::vector<std::string>> LoadInitialWeights(
    const std::string& path, const InitOptions& options, Model& model);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_INIT_INITIAL_WEIGHTS_H_
