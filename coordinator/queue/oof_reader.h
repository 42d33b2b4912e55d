// Stored out-of-fold predictions as a matrix: of one fold or all, model by
// model.
//
// Reads files, so not for the writer thread. Not thread-safe.
#ifndef FOLDFARM_COORDINATOR_QUEUE_OOF_READER_H_
#define FOLDFARM_COORDINATOR_QUEUE_OOF_READER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/ensemble/oof.h"
#include "coordinator/store/artifact_files.h"
#include "foldfarm/v1/job.pb.h"
#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

class OofReader {
 public:
  // Takes the samples that `folds` validate on, or only fold `only`, in the
  // dataset's order, with their truth; no model yet. `files` is borrowed.
  //
  // Errors: those of reading the dataset's file.
  static absl::StatusOr<OofReader> Open(
      ArtifactFiles& files, const std::string& dataset_digest,
      const std::vector<v1::AttemptSpec>& folds, std::optional<int> only);

  // Adds a model whose predictions lie in these files, one a fold. `with_draws`
  // also fills in OofModel::draws, where all files have equally many.
  //
  // Errors: those of reading the files; DATA_LOSS when a sample is missing or
  // has no probability. Nothing was added then.
  absl::Status AddModel(const v1::ModelSpec& model,
                        const std::vector<std::string>& digests,
                        bool with_draws = false);

  const OofMatrix& matrix() const { return matrix_; }
  // [labels]: how common each is among the samples that `folds` train on.
  const std::vector<double>& prevalence() const { return prevalence_; }
  // Samples that `folds` train on and that none validates on, in the dataset's
  // order.
  const std::vector<std::string>& only_trained() const { return only_trained_; }
  OofMatrix Take() && { return std::move(matrix_); }

  // [labels]: which the model predicts, and which any model of the sweep does.
  std::vector<bool> LabelsOf(const v1::ModelSpec& model) const;
  std::vector<bool> LabelsOf(const v1::SweepSpec& spec) const;

 private:
  explicit OofReader(ArtifactFiles& files) : files_(&files) {}

  ArtifactFiles* files_;
  OofMatrix matrix_;
  std::vector<double> prevalence_;
  std::vector<std::string> only_trained_;
  // By sample id: the row in `matrix_`.
  absl::flat_hash_map<std::string, size_t> row_of_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_OOF_READER_H_
