// How a network is trained: TrainSpec of sweep.proto as plain values, with the
// same names, units and defaults.
#ifndef FOLDFARM_WORKER_TRAINING_TRAIN_OPTIONS_H_
#define FOLDFARM_WORKER_TRAINING_TRAIN_OPTIONS_H_

namespace foldfarm {

enum class OptimizerKind { kAdamw, kSgd };
enum class Precision { kFp32, kBf16 };
enum class ScheduleKind { kCosine, kCosineWarmRestarts, kConstant };

struct ScheduleOptions {
  ScheduleKind kind = ScheduleKind::kCosine;
  int period = 16;
  double mult = 1.41421;
  double floor = 0.001;
  double warmup = 0;
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
  int validate_every = 1;
  double ema = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_TRAIN_OPTIONS_H_
