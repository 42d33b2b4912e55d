// Test-time augmentation: every sample drawn several times, the probabilities
// averaged.
//
// Draws of all samples fill batches together. A draw depends on the seed, the
// sample's id and the draw's number alone, so that predicting samples in one go
// or in shares, together or alone, gives the same, but for the last bits that
// kernels owe to the size of a batch.
#ifndef FOLDFARM_WORKER_TRAINING_TEST_TIME_H_
#define FOLDFARM_WORKER_TRAINING_TEST_TIME_H_

#include <cstdint>
#include <functional>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "worker/render/renderer.h"
#include "worker/training/predictions.h"

namespace foldfarm {

// True when the work should end soon.
using StopRequested = std::function<bool()>;

// [B, L] probabilities (any dtype, on any device) of images [B, 100, 80].
using ImagePredictor =
    absl::FunctionRef<absl::StatusOr<at::Tensor>(const at::Tensor& images)>;

// What is to be drawn.
struct DrawnSamples {
  Renderer* renderer = nullptr;  // Borrowed.
  int64_t first = 0;             // Their place among the renderer's samples.
  int64_t count = 0;
  int64_t num_labels = 0;
  int tta = 1;        // Draws of each.
  uint32_t seed = 0;  // The job's.
};

// Errors: CANCELLED when `stop` says so between batches; those of `predict`.
absl::StatusOr<Predictions> PredictDraws(const DrawnSamples& samples,
                                         ImagePredictor predict,
                                         const StopRequested& stop);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_TEST_TIME_H_
