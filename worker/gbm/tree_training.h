// The training of boosted trees on tables of features, epoch by epoch.
//
// An epoch is a number of rounds. It starts from the saved bytes of the epoch
// before, as an attempt that resumes does, with random numbers of its own
// (seed, model, epoch): so killed and resumed any number of times, a training
// ends with the same bytes, on one thread.
//
// Models are one per label, or one with an output a label. No Torch here;
// tables come as plain floats. Built without XGBoost, only Create is there and
// fails. Not thread-safe.
#ifndef FOLDFARM_WORKER_GBM_TREE_TRAINING_H_
#define FOLDFARM_WORKER_GBM_TREE_TRAINING_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "worker/gbm/tree_predictor.h"
#include "worker/models/model_options.h"
#include "worker/training/early_stopping.h"
#include "worker/training/train_options.h"

namespace foldfarm {

struct TreeInput {
  XgboostOptions options;
  std::vector<std::string> labels;         // Their names.
  std::vector<std::string> feature_names;  // Of a table's columns.
  FeatureTable train;
  std::vector<float> train_labels;  // [train.rows, labels], 0 or 1.
  FeatureTable validation;          // May have no rows.
  std::vector<float> validation_labels;
  // What a positive of each label weighs.
  std::vector<double> positive_weights;
  // Of these validate_every and early_stopping*.
  TrainOptions train_options;
  uint32_t seed = 0;
  int threads = 1;
  // Written into checkpoints and weights, e.g. the job's name.
  std::map<std::string, std::string> metadata;
  Clock* clock = nullptr;  // Borrowed.
};

class TreeTraining {
 public:
  using Metrics = std::map<std::string, double>;
  using StopRequested = std::function<bool()>;

  // Errors: INVALID_ARGUMENT for options that cannot work together, and when
  // this trainer was built without XGBoost.
  static absl::StatusOr<std::unique_ptr<TreeTraining>> Create(TreeInput input);
  virtual ~TreeTraining() = default;

  // Epochs finished, and those of a whole training.
  virtual int epoch() const = 0;
  virtual int epochs() const = 0;
  // True after the last epoch, or when early stopping says so.
  virtual bool done() const = 0;
  // Scores of the held-out rows so far.
  virtual const EarlyStopping& stopping() const = 0;
  // Seconds of training in all attempts so far.
  virtual double train_seconds() const = 0;

  // Grows the trees of the next epoch. Metrics: train_loss (log loss of the
  // table), lr, samples_per_second (rows times the rounds that it grew, which
  // are fewer in a last epoch that is cut short), seconds; when the held-out
  // rows were scored, log_loss (clip 1e-3), log_loss_clip_1e_2 and accuracy.
  // When `stop` says so between rounds, drops the epoch and returns CANCELLED.
  virtual absl::StatusOr<Metrics> TrainEpoch(const StopRequested& stop) = 0;

  // The trees that count: the best ones where early stopping is on, otherwise
  // all so far.
  virtual absl::StatusOr<std::unique_ptr<TreePredictor>> Trees() const = 0;

  // A checkpoint is weights.safetensors (the models as bytes) and
  // state.safetensors (where the training is, the best models), in a new folder
  // that appears whole or not at all.
  virtual absl::Status SaveCheckpoint(const std::string& directory) const = 0;
  // One that was written for fewer rounds is trained on: an epoch that these
  // had cut short is made up for in the next. Early stopping keeps its best
  // trees but is patient again; it may have been switched on or off.
  //
  // Errors: those of the files; INVALID_ARGUMENT when they belong to another
  // seed, or to other labels or features; FAILED_PRECONDITION when they have
  // more rounds than are wanted, or fewer and no epoch is left.
  virtual absl::Status LoadCheckpoint(const std::string& directory) = 0;

  // Writes the trees that count: weights.safetensors (each model's bytes as U8
  // "booster.LABEL" or "booster"; metadata: feature_names, labels, and
  // feature_gain, what the best features saved by label) and the same models as
  // XGBoost's own files, model-LABEL.ubj or model.ubj, with the features'
  // names. A label that is long or has other characters than [A-Za-z0-9._-] is
  // shortened to them, with its place: model-iron_oxide~2.ubj. Returns the
  // files' names.
  virtual absl::StatusOr<std::vector<std::string>> SaveResults(
      const std::string& directory) const = 0;

 protected:
  TreeTraining() = default;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_GBM_TREE_TRAINING_H_
