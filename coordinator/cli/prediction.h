// Predicts samples with the networks of a sweep, as jobs on the farm, and
// writes what a competition takes.
//
// The same command twice names the same request: what was begun goes on, what
// is done is only fetched.
#ifndef FOLDFARM_COORDINATOR_CLI_PREDICTION_H_
#define FOLDFARM_COORDINATOR_CLI_PREDICTION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/command_context.h"
#include "coordinator/cli/predict_data.h"

namespace foldfarm {

struct PredictOptions {
  // Id or name of a sweep, or a bundle's folder.
  std::string source;
  PredictDataOptions data;
  // Numbers of draws; the largest is predicted and goes to `out`. Empty: the
  // sweep's.
  std::vector<int> tta;
  std::string out;
  // A submission_format.csv; empty: that of data.directory, if it has one that
  // names any of the samples.
  std::string format;
  // As ChoosePredictingModels takes them.
  std::string models;
  std::string weights;
  // "prior": rows without a prediction hold each label's prevalence; empty:
  // they are left out.
  std::string fill;
  int shares = 0;
  int priority = 0;
  bool no_reuse = false;
};

// Returns the exit status; shows progress on stderr, results as `context` says.
// An interrupt leaves the jobs running and ends with CANCELLED, which says how
// to come back.
//
// Errors: those of ReadPredictSource, ChoosePredictingModels,
// FindPredictData, SubmitPrediction, GetPredictions, MakeSubmission and
// FindOutputFile; INVALID_ARGUMENT when `format` names none of the samples;
// FAILED_PRECONDITION when jobs failed or were cancelled.
absl::StatusOr<int> RunPrediction(CommandContext& context,
                                  const PredictOptions& options);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_PREDICTION_H_
