// From models whose networks are all there to the jobs that predict with them.
//
// A prediction is a sweep of such models: a job predicts a share of the samples
// with one model's network of one fold. Where a sweep that trains has folds, it
// has parts; part fold * shares + share.
//
// Pure: equal input gives equal parts, seeds and result keys on every machine.
#ifndef FOLDFARM_COORDINATOR_QUEUE_PREDICTION_PLAN_H_
#define FOLDFARM_COORDINATOR_QUEUE_PREDICTION_PLAN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/spectra/prepared_dataset.h"
#include "coordinator/queue/sweep_plan.h"
#include "coordinator/store/rows.h"
#include "foldfarm/v1/job.pb.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// A model that could predict.
struct PredictingModel {
  // Complete.
  v1::ModelSpec spec;
  // By fold: the files of its network, by their names in the attempt's folder.
  std::vector<std::vector<v1::ArtifactRef>> files;
  // Why it cannot: "fold 2 is failed". Empty: it can.
  std::string obstacle;
};

struct PredictionOptions {
  // Of the sweep that predicts.
  std::string name;
  // Whose models: "s3", or a bundle's name.
  std::string source;
  // What is predicted, for people: "test".
  std::string samples;
  std::vector<std::string> sample_ids;
  int tta = 16;
  // 0: one for about every 100 samples.
  int shares = 0;
  uint32_t seed = 1;
  int priority = 0;
};

struct PredictionPlan {
  v1::SweepSpec spec;
  SweepPlan plan;
  // Files are named "FOLD/NAME"; see InputsOfFold.
  std::vector<InputRow> inputs;
};

// Of `models` those named in `only` (all when empty) that can predict, in their
// own order. A model that cannot is left out unless it is named.
// Errors: NOT_FOUND with near misses; FAILED_PRECONDITION when a named model,
// or every model, has an obstacle.
absl::StatusOr<std::vector<PredictingModel>> ChooseModels(
    std::vector<PredictingModel> models, const std::string& source,
    absl::Span<const std::string> only);

// The samples to predict, each once: those of `split` ("test", or several:
// "val,test") in the dataset's order, or `ids` as they are.
// Errors: NOT_FOUND for an id that the dataset does not have; INVALID_ARGUMENT
// when neither or both are given, no sample is of the split, an id comes twice.
absl::StatusOr<std::vector<std::string>> SelectSamples(
    const DatasetHeader& dataset, const std::string& dataset_name,
    const std::string& split, absl::Span<const std::string> ids);

// Errors: INVALID_ARGUMENT naming the first difference between `labels`, the
// dataset's, and `trained`, those of the models of `source`.
absl::Status CheckSameLabels(const std::vector<std::string>& labels,
                             const std::string& dataset_name,
                             const std::vector<std::string>& trained,
                             const std::string& source);

// Plans the jobs. REQUIRES: the dataset has the models' labels.
// Errors: INVALID_ARGUMENT naming the model or number at fault: models of
// unequal folds, a fold without files, a name that is no result's.
absl::StatusOr<PredictionPlan> PlanPrediction(
    const PredictionOptions& options, absl::Span<const PredictingModel> models,
    const DatasetHeader& dataset, const std::string& dataset_digest);

// The fold whose network a job works on: its own, or of a prediction the one
// that its part is of.
int NetworkFold(const v1::SweepSpec& spec, int job_fold);

// Of a model's inputs those that attempts of `fold` start with, under their
// names in the folder: "FOLD/NAME" becomes NAME for that fold and is no
// other's.
std::vector<v1::ArtifactRef> InputsOfFold(
    absl::Span<const v1::ArtifactRef> inputs, int fold);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_PREDICTION_PLAN_H_
