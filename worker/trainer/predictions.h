// Predictions of held-out and of new samples: their scores, their files, and
// those of "arch: none". All of them speak of the labels of `spec.labels`, in
// the dataset's order, and refuse (INVALID_ARGUMENT) one that the dataset
// lacks.
#ifndef FOLDFARM_WORKER_TRAINER_PREDICTIONS_H_
#define FOLDFARM_WORKER_TRAINER_PREDICTIONS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/spectra/prepared_dataset.h"
#include "worker/trainer/attempt_spec.h"
#include "worker/training/predictions.h"

namespace foldfarm {

// "arch: none": every label gets its prevalence in the training folds; one
// draw. The floor that every model must beat.
// Errors: NOT_FOUND for an id that the dataset lacks; INVALID_ARGUMENT without
// train samples.
absl::StatusOr<Predictions> PredictPrior(const PreparedDataset& dataset,
                                         const AttemptSpec& spec);

// Scores predictions of `spec.validation_samples` as the final metrics do:
// log_loss (clip 1e-3), log_loss_clip_1e_2, log_loss_shrink_0002, accuracy.
// Empty without samples.
absl::StatusOr<Metrics> ScorePredictions(const PreparedDataset& dataset,
                                         const AttemptSpec& spec,
                                         const Predictions& predictions);

// Writes oof.safetensors.
// Tensors: probabilities F32 [n, L], the mean over draws; draws F32 [tta, n,
// L]. Metadata: format "foldfarm-oof", format_version "1", sample_ids and
// labels (JSON arrays in the order of rows and columns), job, fold.
absl::Status WriteOofFile(const std::string& path,
                          const PreparedDataset& dataset,
                          const AttemptSpec& spec,
                          const Predictions& predictions);

// Writes predictions.safetensors, the same of `spec.predict_samples`; its
// format is "foldfarm-predictions".
absl::Status WritePredictionsFile(const std::string& path,
                                  const PreparedDataset& dataset,
                                  const AttemptSpec& spec,
                                  const Predictions& predictions);

// INTERNAL when a probability is none: the weights are not finite.
absl::Status CheckProbabilities(const Predictions& predictions);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_PREDICTIONS_H_
