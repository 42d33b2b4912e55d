// One network's training, epoch by epoch: one stage of it, or the only one.
//
// Every random draw of an epoch derives from (seed, epoch): the order of the
// samples, the images, dropout. So the state at an epoch's end is the weights,
// the optimizer's moments, the averages and the best weights so far, and the
// number of the epoch; a training resumed there goes on as if it had never
// stopped: bit for bit on one CPU with the same number of threads.
//
// Torch's exceptions pass through. Not thread-safe.
#ifndef FOLDFARM_WORKER_TRAINING_TRAINING_RUN_H_
#define FOLDFARM_WORKER_TRAINING_TRAINING_RUN_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "worker/models/model.h"
#include "worker/render/renderer.h"
#include "worker/training/early_stopping.h"
#include "worker/training/held_out.h"
#include "worker/training/predictions.h"
#include "worker/training/train_options.h"

namespace foldfarm {

struct TrainingInput {
  std::shared_ptr<Model> model;
  // Its first `num_train` samples are trained on, the others held out.
  Renderer* renderer = nullptr;  // Borrowed; outlives the run.
  int64_t num_train = 0;
  int64_t num_validation = 0;
  // The renderer's labels that the network has, in its order; empty: all.
  std::vector<int64_t> label_columns;
  // What a positive of each of the network's labels weighs; empty: 1.
  std::vector<double> positive_weights;
  TrainOptions options;
  uint32_t seed = 0;
  std::string device = "cpu";
  // Which stage this is, from 0, and what the earlier ones took.
  int stage = 0;
  int earlier_epochs = 0;
  double earlier_seconds = 0;
  // Written into checkpoints and weights, e.g. the job's name.
  std::map<std::string, std::string> metadata;
  Clock* clock = nullptr;  // Borrowed.
};

class TrainingRun {
 public:
  // Errors: INVALID_ARGUMENT for fewer than two train samples, and for options
  // that exclude each other.
  static absl::StatusOr<std::unique_ptr<TrainingRun>> Create(
      TrainingInput input);
  ~TrainingRun();
  TrainingRun(const TrainingRun&) = delete;
  TrainingRun& operator=(const TrainingRun&) = delete;

  // Epochs finished, those of earlier stages included.
  int epoch() const { return input_.earlier_epochs + epoch_; }
  // Seconds of training in all attempts so far, scoring included.
  double train_seconds() const { return train_seconds_; }
  // All epochs are finished, or the held-out loss no longer falls.
  bool done() const {
    return epoch_ >= input_.options.epochs || stopping_.ShouldStop();
  }
  // Scores of the held-out samples so far; counts epochs as epoch() does.
  const EarlyStopping& stopping() const { return stopping_; }

  // Trains the next epoch. When `stop` says so after a batch, puts the state
  // back to the epoch's start and returns CANCELLED. Errors: INTERNAL when the
  // loss is not finite.
  //
  // Held-out samples are scored with the moving average of the weights if
  // there is one (options.ema); with stochastic weight averaging, which has no
  // batch statistics until the end, with the weights as they are.
  absl::StatusOr<Metrics> TrainEpoch(const StopRequested& stop);

  // Ends the run: puts the weights that count in place. With early stopping
  // those of the best epoch; else the average of the weights if there is one,
  // for the stochastic one with batch statistics taken anew in a pass over the
  // train samples. CANCELLED as above; then it can be called again, also after
  // a checkpoint. Once done, no more epochs.
  absl::Status Finish(const StopRequested& stop);

  // Draws every held-out sample `tta` times, with the weights that count (the
  // moving average if there is one). CANCELLED as above.
  absl::StatusOr<Predictions> Predict(int tta, const StopRequested& stop);

  // Writes weights.safetensors and state.safetensors into a new folder, which
  // appears whole or not at all.
  absl::Status SaveCheckpoint(const std::string& directory);
  // Continues from such a folder.
  //
  // One that was written for fewer epochs is trained on. Then the schedule is
  // that of the new number, from here on: a rate that had fallen rises again.
  // Moving averages and moments go on, a stochastic average begins anew, and
  // early stopping keeps its best weights but is patient again. Its options may
  // have changed, and it may have been switched on or off.
  //
  // Errors: those of the files; INVALID_ARGUMENT when they belong to another
  // network, optimizer, average, seed or stage; FAILED_PRECONDITION when they
  // are of a later epoch than the last.
  absl::Status LoadCheckpoint(const std::string& directory);

  // The weights that count.
  absl::Status SaveWeights(const std::string& path);

 private:
  struct State;
  TrainingRun(TrainingInput input, std::unique_ptr<State> state);
  void KeepBoundary();
  void ReturnToBoundary();
  absl::StatusOr<double> TrainBatches(const StopRequested& stop, double* lr);
  absl::Status Score(Metrics& metrics, const StopRequested& stop);
  absl::Status RetakeBatchStatistics(const StopRequested& stop);
  void KeepBest();
  uint64_t Seed(uint64_t stream, uint64_t index) const;

  const TrainingInput input_;
  std::unique_ptr<State> state_;
  int epoch_ = 0;          // Of this stage.
  int extended_from_ = 0;  // Epochs trained when their number was raised last.
  EarlyStopping stopping_;
  bool finished_ = false;  // The weights that count are in place.
  double train_seconds_ = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_TRAINING_RUN_H_
