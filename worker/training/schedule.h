// What changes over a training by plan: the learning rate, as a factor on its
// peak, and which weights are averaged.
#ifndef FOLDFARM_WORKER_TRAINING_SCHEDULE_H_
#define FOLDFARM_WORKER_TRAINING_SCHEDULE_H_

#include "worker/training/train_options.h"

namespace foldfarm {

// The factor at `position`, counted in epochs from 0 with a fraction for the
// steps within one, of a training of `epochs`.
// * cosine: linear from 0 over `warmup` epochs, then half a cosine to the end;
//   per step; never below `floor`.
// * cosine_warm_restarts (Loshchilov & Hutter, SGDR, 2017): per epoch, from 1
//   to `floor` over `period` epochs, then anew with int(period * mult); the
//   very first epoch at 1 %.
// * one_cycle (Smith & Topin 2019): half a cosine from `start` to 1 over the
//   share `rise` of the epochs, then half a cosine to `floor`; per step.
// * steps: `gamma` to the power of the `milestones` passed; per epoch, the
//   epoch after a milestone is the first at the new rate.
// * constant: 1.
double LearningRateFactor(const ScheduleOptions& options, int epochs,
                          double position);

// Whether the weights after the `epoch`-th epoch, from 1, enter the stochastic
// average (options.swa_start, swa_every): the first that does is
// ceil(swa_start * epochs), but never one of the `earlier` epochs that were
// trained with another number of epochs in mind. Sets how many entered before.
bool EntersWeightAverage(const TrainOptions& options, int epoch, int* before,
                         int earlier = 0);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_SCHEDULE_H_
