// A sweep's stored out-of-fold (OOF) predictions as one matrix.
//
// A model takes part once all its folds have succeeded, and never before; for
// each other model there is a reason.
#ifndef FOLDFARM_COORDINATOR_SERVICE_STORED_OOF_H_
#define FOLDFARM_COORDINATOR_SERVICE_STORED_OOF_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ensemble/oof.h"
#include "coordinator/store/artifact_files.h"
#include "coordinator/store/store.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// What the database says of a sweep's predictions.
struct StoredOof {
  SweepRow sweep;
  std::vector<v1::AttemptSpec> folds;
  // Digests of the files of predictions, a fold each, by complete model, in
  // the sweep's order.
  struct Model {
    v1::ModelSpec spec;
    std::vector<std::string> digests;
    // Trainer seconds, all folds and attempts.
    double seconds = 0;
  };
  std::vector<Model> complete;
  std::vector<v1::IncompleteModel> incomplete;
};

// Errors: those of ResolveSweep and of the database.
absl::StatusOr<StoredOof> ReadStoredOof(Store& store, const std::string& name);

struct LoadedOof {
  // Samples of all folds, in the dataset's order.
  OofMatrix oof;
  // See OofReader.
  std::vector<double> prevalence;
  std::vector<std::string> only_trained;
  // Complete, but their files cannot be used.
  std::vector<v1::IncompleteModel> unreadable;
};

// Reads the files. `with_draws` also fills in OofModel::draws, where all folds
// of a model have equally many.
//
// Errors: those of reading the dataset. What is wrong with a model's own file
// leaves out that model.
absl::StatusOr<LoadedOof> LoadOof(const StoredOof& stored, ArtifactFiles& files,
                                  bool with_draws);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_STORED_OOF_H_
