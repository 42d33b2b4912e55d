// Datasets as tables.
//
// Pure functions; thread-safe. `width` 0: unlimited.
#ifndef FOLDFARM_COORDINATOR_CLI_DATASET_TEXT_H_
#define FOLDFARM_COORDINATOR_CLI_DATASET_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/time/time.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// A row a dataset.
std::string DatasetsText(const v1::ListDatasetsResponse& reply, absl::Time now,
                         size_t width, bool colour);

// Digest and size, samples by split and instrument, label prevalence.
std::string DatasetText(const v1::Dataset& dataset, size_t width, bool colour);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_DATASET_TEXT_H_
