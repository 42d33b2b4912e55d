// foldfarm-trainer predict: what a bundle says of features files, without a
// farm.
//
//  1. The bundle is checked: every file's digest, before any is loaded.
//  2. The samples are found, and read and prepared in groups, as import does; a
//     file that is bad is reported and the others go on.
//  3. Every network of the bundle draws and predicts the group; the models'
//     weighted mean, its spread and each model's own figures are shrunk by the
//     constant of the sample's instrument.
//  4. A table or one JSON document goes to standard output, warnings, progress
//     and errors to standard error.
#ifndef FOLDFARM_WORKER_TRAINER_PREDICT_COMMAND_H_
#define FOLDFARM_WORKER_TRAINER_PREDICT_COMMAND_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace foldfarm {

struct PredictOptions {
  std::string bundle;
  std::vector<std::string> samples;
  int tta = 0;  // 0: the bundle's.
  std::string instrument_type;
  bool json = false;
  bool shrink = true;
  int threads = 0;  // 0: as many as there are cores.
  std::string device = "cpu";
};

// The command line after "predict". Errors: INVALID_ARGUMENT saying what is
// wrong with it.
absl::StatusOr<PredictOptions> ParsePredictOptions(
    const std::vector<std::string>& arguments);

// How to call it.
extern const char kPredictUsage[];

// Predicts; returns how many of the samples could not be. Errors: those of
// BundleModels::Open and FindSamples; CANCELLED when `stop` says so between
// batches.
absl::StatusOr<int> RunPredict(const PredictOptions& options,
                               const std::function<bool()>& stop);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_PREDICT_COMMAND_H_
