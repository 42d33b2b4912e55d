// Which labels and which samples a training sees, and what a label's positives
// weigh. Without Torch: networks and trees share it.
#ifndef FOLDFARM_WORKER_TRAINING_LABELS_H_
#define FOLDFARM_WORKER_TRAINING_LABELS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/spectra/prepared_dataset.h"
#include "worker/training/train_options.h"

namespace foldfarm {

// The columns of `chosen` among the dataset's labels, in the dataset's order;
// all of them when `chosen` is empty.
// Errors: INVALID_ARGUMENT for a label that the dataset lacks, naming those
// it has, and for one named twice.
absl::StatusOr<std::vector<int64_t>> LabelColumns(
    const DatasetHeader& header, const std::vector<std::string>& chosen);

// The names of `columns`.
std::vector<std::string> LabelNames(const DatasetHeader& header,
                                    const std::vector<int64_t>& columns);

// 0 or 1 of each sample and column, [ids, columns], row-major.
// Errors: NOT_FOUND for an id that the dataset lacks.
absl::StatusOr<std::vector<float>> LabelsOf(
    const PreparedDataset& dataset, const std::vector<std::string>& ids,
    const std::vector<int64_t>& columns);

// Those of `ids` whose columns of the sample table (instrument_type, split)
// have the values of `wanted`, in their order; all when it is empty.
// `where` begins messages ("stages[0].samples"). Errors: INVALID_ARGUMENT for
// an unknown column, and when that leaves fewer than two samples, naming the
// values there are; NOT_FOUND for an id that the dataset lacks.
absl::StatusOr<std::vector<std::string>> SelectSamples(
    const PreparedDataset& dataset, const std::vector<std::string>& ids,
    const std::map<std::string, std::string>& wanted, const std::string& where);

struct PositiveWeights {
  std::vector<double> weights;           // One a column.
  std::vector<std::string> no_positive;  // Labels that `balance` left at 1.
  // All weights are 1: nothing to do.
  bool none() const {
    for (const double weight : weights) {
      if (weight != 1) return false;
    }
    return true;
  }
};

// What a positive of each of `columns` weighs against a negative:
// options.positive_weights where it names the label, else
// (negatives / positives)^options.balance counted in `train_samples`; 1 where
// there is no positive.
// Errors: INVALID_ARGUMENT when positive_weights names a label that the
// dataset lacks; NOT_FOUND as above.
absl::StatusOr<PositiveWeights> WeighPositives(
    const PreparedDataset& dataset,
    const std::vector<std::string>& train_samples,
    const std::vector<int64_t>& columns, const TrainOptions& options);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_LABELS_H_
