// `foldfarm submit --dry-run`: the jobs that a sweep would be, and what they
// cost.
//
// foldfarm-trainer knows what a network costs: it builds each, and says so as
// JSON. Without that program the costs are unknown and all else is shown.
#ifndef FOLDFARM_COORDINATOR_CLI_DRY_RUN_H_
#define FOLDFARM_COORDINATOR_CLI_DRY_RUN_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// What is known of a model; each figure alone may be unknown or meaningless
// (trees have no multiply-adds).
struct ModelCost {
  std::optional<int64_t> parameters;
  // Of one image forward.
  std::optional<int64_t> multiply_adds;
  // Estimate for an attempt.
  std::optional<int64_t> memory_bytes;
};

// Asks `trainer` ("foldfarm-trainer describe") about every model of the sweep,
// in its order, for a dataset of `num_labels` labels.
//
// Errors: NOT_FOUND when there is no such program; INVALID_ARGUMENT naming the
// models that cannot be built, a line each; INTERNAL when the program fails or
// answers nonsense.
absl::StatusOr<std::vector<ModelCost>> AskForCosts(const std::string& trainer,
                                                   const v1::SweepSpec& spec,
                                                   int num_labels);

struct DryRunJob {
  int model = 0;  // Index in the sweep.
  int fold = 0;
};

// The jobs in the order in which they would start.
std::vector<DryRunJob> PlanJobs(const v1::SweepSpec& spec);

// A row a job, totals at the end, and what the sweep decides for itself.
// `costs` is empty when unknown. `width` 0: unlimited.
std::string DryRunText(const v1::SweepSpec& spec,
                       const std::vector<ModelCost>& costs, size_t width,
                       bool colour);

// Totals say how many jobs will be trained at most and at least, as far as
// `screen` and `stop_when` decide that.
//
// {"sweep", "jobs": [{"model", "fold", "arch", "epochs", "parameters",
// "multiplyAdds", "memoryBytes"}], "totals": {...}}; unknown figures are null.
std::string DryRunJson(const v1::SweepSpec& spec,
                       const std::vector<ModelCost>& costs);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_DRY_RUN_H_
