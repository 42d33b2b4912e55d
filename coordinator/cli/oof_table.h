// A sweep's out-of-fold (OOF) predictions, fetched whole.
//
// Functions are thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_OOF_TABLE_H_
#define FOLDFARM_COORDINATOR_CLI_OOF_TABLE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ensemble/oof.h"
#include "coordinator/cli/farm_client.h"

namespace foldfarm {

struct OofTable {
  // Without the models' single draws.
  OofMatrix oof;
  // [samples, labels]: the mean of the models; NaN for a label that none
  // predicts. Empty when no model is complete.
  std::vector<double> ensemble;
};

// Every complete model of the sweep; none is no error.
//
// Errors: those of GetOof; INTERNAL when a row does not fit the names that came
// first.
absl::StatusOr<OofTable> FetchOof(FarmClient& client, const std::string& sweep);

// How common each of `labels` is among the table's samples, which are those
// that the sweep trained on; 0.5 for a label that it does not have, and for all
// when it has no samples.
std::vector<double> Prevalence(const OofMatrix& oof,
                               const std::vector<std::string>& labels);

// The table as CSV (common/ensemble/csv.h).
std::string OofCsv(const OofTable& table);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_OOF_TABLE_H_
