// Visits every state that a system can reach, breadth first, and says how it
// got to the first one that must not be.
#ifndef FOLDFARM_TESTS_COORDINATOR_QUEUE_EXPLORER_H_
#define FOLDFARM_TESTS_COORDINATOR_QUEUE_EXPLORER_H_

#include <algorithm>
#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_join.h"

namespace foldfarm {

// A state, and the event that led to it.
template <typename State>
struct Step {
  std::string event;
  State state;
  // Equal for states from which the same can happen.
  std::string key;
  // What is wrong with the state; empty: nothing.
  std::string violation;
};

struct Exploration {
  size_t states = 0;
  size_t transitions = 0;
  // Events from the start to the farthest state.
  int depth = 0;
  // Nothing was left out: neither the depth nor the number of states ended it.
  bool complete = true;
  // The first violation by the fewest events, and these events.
  std::string violation;
  std::vector<std::string> trace;
  // By number, from 0, the start: states of one event later. What was cut off
  // has none.
  std::vector<std::vector<size_t>> next;

  std::string Trace() const { return absl::StrJoin(trace, "; "); }
};

// Explores from `start` until there is nothing new, `max_depth` events are
// done, `max_states` are found, or a violation is. `visit` is told of every
// state by its number, in order; `next` gives the steps out of one.
template <typename State>
Exploration Explore(
    Step<State> start, int max_depth, size_t max_states,
    absl::FunctionRef<std::vector<Step<State>>(const State&)> next,
    absl::FunctionRef<void(size_t, const State&)> visit = [](size_t,
                                                             const State&) {}) {
  struct Found {
    State state;
    std::string event;
    size_t from;
    int depth;
  };
  Exploration result;
  std::vector<Found> found;
  std::unordered_map<std::string, size_t> numbers;
  const auto fail = [&](std::string violation, std::string event, size_t at) {
    result.violation = std::move(violation);
    result.trace = {std::move(event)};
    for (; at != 0; at = found[at].from) {
      result.trace.push_back(found[at].event);
    }
    std::reverse(result.trace.begin(), result.trace.end());
  };
  numbers[start.key] = 0;
  found.push_back({std::move(start.state), "", 0, 0});
  result.next.emplace_back();
  visit(0, found[0].state);
  for (size_t at = 0; at < found.size() && result.violation.empty(); ++at) {
    if (found[at].depth >= max_depth) {
      result.complete = false;
      continue;
    }
    for (Step<State>& step : next(State(found[at].state))) {
      ++result.transitions;
      if (!step.violation.empty()) {
        fail(step.violation, step.event, at);
        break;
      }
      const auto [it, is_new] =
          numbers.try_emplace(std::move(step.key), found.size());
      if (is_new && found.size() >= max_states) {
        numbers.erase(it);
        result.complete = false;
        continue;
      }
      result.next[at].push_back(it->second);
      if (!is_new) continue;
      const int depth = found[at].depth + 1;
      result.depth = std::max(result.depth, depth);
      visit(found.size(), step.state);
      found.push_back(
          {std::move(step.state), std::move(step.event), at, depth});
      result.next.emplace_back();
    }
  }
  result.states = found.size();
  return result;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_QUEUE_EXPLORER_H_
