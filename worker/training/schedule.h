// The learning rate over a training, as a factor on its peak.
#ifndef FOLDFARM_WORKER_TRAINING_SCHEDULE_H_
#define FOLDFARM_WORKER_TRAINING_SCHEDULE_H_

#include "worker/training/train_options.h"

namespace foldfarm {

// The factor at `position`, counted in epochs from 0 with a fraction for the
// steps within one, of a training of `epochs`.
// * cosine: linear from 0 over `warmup` epochs, then half a cosine to the end;
//   per step; never below `floor`.
// * cosine_warm_restarts (Loshchilov & Hutter, SGDR, 2017): per epoch, from 1
// to
//   `floor` over `period` epochs, then anew with int(period * mult); the very
//   first epoch at 1 %.
// * constant: 1.
double LearningRateFactor(const ScheduleOptions& options, int epochs,
                          double position);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_SCHEDULE_H_
