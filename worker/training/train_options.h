// How a network is trained: TrainSpec of sweep.proto as plain values, with the
// same names, units and defaults.
#ifndef FOLDFARM_WORKER_TRAINING_TRAIN_OPTIONS_H_
#define FOLDFARM_WORKER_TRAINING_TRAIN_OPTIONS_H_

#include <map>
#include <string>
#include <vector>

namespace foldfarm {

enum class OptimizerKind { kAdamw, kSgd, kAdam };
enum class LossKind { kBce, kFocal, kAsymmetric };
enum class Precision { kFp32, kBf16 };
enum class ScheduleKind {
  kCosine,
  kCosineWarmRestarts,
  kConstant,
  kOneCycle,
  kSteps
};

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kCosine;
  int period = 16;
  double mult = 1.41421;
  double floor = 0.001;
  double warmup = 0;
  double rise = 0.3;
  double start = 0.04;
  std::vector<int> milestones;
  double gamma = 0.1;
};

struct TrainOptions {
  int epochs = 100;
  int batch = 8;
  OptimizerKind optimizer = OptimizerKind::kAdamw;
  double lr = 1e-4;
  double weight_decay = 0.01;
  double momentum = 0.9;
  ScheduleOptions schedule;
  double grad_clip = 64;
  double label_smoothing = 0.001;
  Precision precision = Precision::kFp32;
  double checkpoint_minutes = 5;
  int checkpoint_epochs = 0;
  bool keep_checkpoint = true;
  int validate_every = 1;
  double ema = 0;
  LossKind loss = LossKind::kBce;
  double focal_alpha = 0;
  double focal_gamma = 2;
  double asymmetric_gamma_pos = 0;
  double asymmetric_gamma_neg = 4;
  double asymmetric_margin = 0.05;
  double balance = 0;
  std::map<std::string, double> positive_weights;  // By label.
  double swa_start = 0;
  int swa_every = 1;
  int early_stopping = 0;
  double early_stopping_min_delta = 0;
};

// StageSpec.
struct StageOptions {
  std::map<std::string, std::string> samples;  // Column to value.
  TrainOptions train;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_TRAIN_OPTIONS_H_
