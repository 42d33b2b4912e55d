// A sweep that predicts, as people read it.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_PREDICTION_TEXT_H_
#define FOLDFARM_COORDINATOR_CLI_PREDICTION_TEXT_H_

#include <cstddef>
#include <string>

#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// "predicts test with s3: 9 models x 4 folds x 8 shares". REQUIRES: the sweep
// predicts and has its spec.
std::string DescribePrediction(const v1::Sweep& sweep);

// How many of each model's jobs are done, run and failed. `width` 0: unlimited.
std::string PredictionTable(const v1::ListJobsResponse& jobs, size_t width,
                            bool colour);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_PREDICTION_TEXT_H_
