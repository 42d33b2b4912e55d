// The models of a watched sweep, as lines that fit the terminal.
#ifndef FOLDFARM_COORDINATOR_CLI_WATCH_MODELS_H_
#define FOLDFARM_COORDINATOR_CLI_WATCH_MODELS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/cli/eta.h"
#include "coordinator/cli/sweep_summary.h"

namespace foldfarm {

// The columns of a model's line; 0: left out.
struct WatchLayout {
  size_t columns = 0;
  size_t name = 0;
  size_t folds = 0;
  bool marks = true;
  size_t curve = 0;
  size_t last = 0;
  size_t best = 0;
  size_t score = 0;
  size_t bar = 0;
  size_t share = 0;
  size_t left = 0;  // And what else there is to say, to the end of the line.
};

WatchLayout MakeWatchLayout(const std::vector<ModelSummary>& models,
                            size_t columns);

// The titles of the columns.
std::string ModelHeader(const WatchLayout& layout, bool colour);

// At most `room` lines: a line a model, or where they are too many, what runs
// in whole lines and the others side by side; the last line counts those that
// do not fit.
std::vector<std::string> ModelLines(const std::vector<ModelSummary>& models,
                                    absl::Time now, const Estimate& estimate,
                                    const WatchLayout& layout, size_t room,
                                    bool colour);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_WATCH_MODELS_H_
