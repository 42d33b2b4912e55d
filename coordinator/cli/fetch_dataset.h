// A prepared dataset on its way from the farm.
#ifndef FOLDFARM_COORDINATOR_CLI_FETCH_DATASET_H_
#define FOLDFARM_COORDINATOR_CLI_FETCH_DATASET_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "common/base/clock.h"
#include "coordinator/cli/farm_client.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// Fetches the file of `dataset` into `path`. `cancelled` and `progress` (bytes)
// may be empty. Thread-safe.
//
// Errors: those of DownloadFile; UNAVAILABLE with advice when nobody answers
// for half a minute.
absl::Status FetchDataset(
    FarmClient& client, Clock& clock, const v1::Dataset& dataset,
    const std::string& path, std::function<bool()> cancelled,
    std::function<void(int64_t done, int64_t total)> progress);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_FETCH_DATASET_H_
