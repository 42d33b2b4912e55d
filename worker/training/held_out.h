// The samples that a network is judged by.
#ifndef FOLDFARM_WORKER_TRAINING_HELD_OUT_H_
#define FOLDFARM_WORKER_TRAINING_HELD_OUT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/models/model.h"
#include "worker/render/renderer.h"
#include "worker/training/predictions.h"
#include "worker/training/test_time.h"

namespace foldfarm {

// Predicts with the weights that the network has at the moment, in eval mode.
// Every function returns CANCELLED when `stop` says so between batches.
struct HeldOut {
  std::shared_ptr<Model> model;
  Renderer* renderer = nullptr;  // Borrowed.
  int64_t first = 0;             // Their place among the renderer's samples.
  int64_t count = 0;
  int64_t num_labels = 0;
  std::vector<float> labels;  // [count, num_labels]
  bool bf16 = false;
  std::string device = "cpu";
  uint32_t seed = 0;  // The job's.

  // Scores one draw of each sample after `epoch` epochs: log_loss,
  // log_loss_clip_1e_2 and accuracy.
  absl::Status Score(int epoch, const StopRequested& stop,
                     Metrics& metrics) const;

  // Draws every sample `tta` times.
  absl::StatusOr<Predictions> Predict(int tta, const StopRequested& stop) const;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_HELD_OUT_H_
