// One network's training, epoch by epoch.
//
// Every random draw of an epoch derives from (seed, epoch): the order of the
// samples, the images, dropout. So the state at an epoch's end is the weights,
// the optimizer's moments and the number of the epoch, and a training resumed
// there goes on as if it had never stopped: bit for bit on one CPU with the
// same number of threads.
//
// Torch's exceptions pass through. Not thread-safe.
#ifndef FOLDFARM_WORKER_TRAINING_TRAINING_RUN_H_
#define FOLDFARM_WORKER_TRAINING_TRAINING_RUN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "worker/models/model.h"
#include "worker/render/renderer.h"
#include "worker/training/train_options.h"

namespace foldfarm {

// Probabilities of the validation samples, in their order, row-major.
struct Predictions {
  int64_t num_samples = 0;
  int64_t num_labels = 0;
  int64_t num_draws = 0;
  std::vector<float> draws;          // [num_draws, num_samples, num_labels]
  std::vector<float> probabilities;  // [num_samples, num_labels]: their mean
};

// Metrics of an epoch by name: train_loss, lr (of the last step),
// samples_per_second (training alone), seconds (of the whole epoch); and, when
// the held-out samples were scored, log_loss (clip 1e-3), log_loss_clip_1e_2
// and accuracy.
using Metrics = std::map<std::string, double>;

// True when the work should end soon.
using StopRequested = std::function<bool()>;

struct TrainingInput {
  std::shared_ptr<Model> model;
  // Its first `num_train` samples are trained on, the others held out.
  Renderer* renderer = nullptr;  // Borrowed; outlives the run.
  int64_t num_train = 0;
  int64_t num_validation = 0;
  TrainOptions options;
  uint32_t seed = 0;
  std::string device = "cpu";
  // Written into checkpoints and weights, e.g. the job's name.
  std::map<std::string, std::string> metadata;
  Clock* clock = nullptr;  // Borrowed.
};

// Prepares Torch for a run: `threads` CPU threads, deterministic algorithms,
// denormals as zero. Once a process, before models are built.
void ConfigureTorch(int threads, const std::string& device);

// Makes Torch's default generators start a job's weights from `seed`.
void SeedWeights(uint32_t seed);

class TrainingRun {
 public:
  // Errors: INVALID_ARGUMENT for fewer than two train samples.
  static absl::StatusOr<std::unique_ptr<TrainingRun>> Create(
      TrainingInput input);
  ~TrainingRun();
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  // Epochs finished.
  int epoch() const { return epoch_; }
  // Seconds of training in all attempts so far, scoring included.
  double train_seconds() const { return train_seconds_; }

  // Trains the next epoch. When `stop` says so after a batch, puts the state
  // back to the epoch's start and returns CANCELLED. Errors: INTERNAL when the
  // loss is not finite.
  absl::StatusOr<Metrics> TrainEpoch(const StopRequested& stop);

  // Draws every held-out sample `tta` times, with the weights that count (the
  // moving average if there is one). CANCELLED as above.
  absl::StatusOr<Predictions> Predict(int tta, const StopRequested& stop);

  // Writes weights.safetensors and state.safetensors into a new folder, which
  // appears whole or not at all.
  absl::Status SaveCheckpoint(const std::string& directory);
  // Continues from such a folder. Errors: those of the files;
  // INVALID_ARGUMENT when they belong to another network or optimizer.
  absl::Status LoadCheckpoint(const std::string& directory);

  // The weights that count.
  absl::Status SaveWeights(const std::string& path);

 private:
  struct State;
  TrainingRun(TrainingInput input, std::unique_ptr<State> state);
  void KeepBoundary();
  void ReturnToBoundary();
  absl::StatusOr<std::vector<float>> PredictDraw(DrawMode mode, uint64_t seed,
                                                 const StopRequested& stop);
  absl::Status Score(Metrics& metrics, const StopRequested& stop);
  uint64_t Seed(uint64_t stream, uint64_t index) const;

  const TrainingInput input_;
  std::unique_ptr<State> state_;
  int epoch_ = 0;
  double train_seconds_ = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_TRAINING_RUN_H_
