// The picture that `watch` draws of a sweep: how far, how good, what is wrong,
// when it is done.
//
// A header, then a line a model: its folds as marks, the curve of its log loss,
// its scores, how far it is and how long it takes yet; below, what failed and
// what ended last. Where models do not all fit, those that run or have trouble
// come first and the rest stand side by side.
// A pure function of state, time and size. Thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_WATCH_VIEW_H_
#define FOLDFARM_COORDINATOR_CLI_WATCH_VIEW_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "coordinator/cli/console.h"
#include "coordinator/cli/watch_state.h"

namespace foldfarm {

// At most `size.rows` lines of at most `size.columns` columns; columns below 20
// count as 20. Times of day are those of `zone`.
std::vector<std::string> WatchLines(const WatchState& state, absl::Time now,
                                    absl::TimeZone zone, TerminalSize size,
                                    bool colour);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_WATCH_VIEW_H_
