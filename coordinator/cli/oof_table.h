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
  // [labels]: how common each is among the samples that were trained on.
  std::vector<double> prevalence;
  // Samples that were trained on and are in no row, e.g. all but a hold-out.
  std::vector<std::string> only_trained;
};

// Every complete model of the sweep; none is no error.
//
// Errors: those of GetOof; INTERNAL when a row does not fit the names that came
// first.
absl::StatusOr<OofTable> FetchOof(FarmClient& client, const std::string& sweep);

// OofTable::prevalence of `labels`; 0.5 for one that the table does not have.
// Empty when the coordinator, an older one, did not tell.
std::vector<double> Prevalence(const OofTable& table,
                               const std::vector<std::string>& labels);

// The table as CSV (common/ensemble/csv.h).
std::string OofCsv(const OofTable& table);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_OOF_TABLE_H_
