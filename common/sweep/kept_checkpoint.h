// Which checkpoints outlive the training that wrote them.
//
// Functions are pure.
#ifndef FOLDFARM_COMMON_SWEEP_KEPT_CHECKPOINT_H_
#define FOLDFARM_COMMON_SWEEP_KEPT_CHECKPOINT_H_

#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// How the last stage of a model is trained, or all of a model without stages.
inline const v1::TrainSpec& LastTrain(const v1::ModelSpec& model) {
  return model.stages().empty() ? model.train()
                                : model.stages().rbegin()->train();
}

// Whether the checkpoint after the last epoch is kept beside the result. A
// specification from before the option was there keeps it too.
inline bool KeepsCheckpoint(const v1::ModelSpec& model) {
  // A prevalence is not trained on.
  if (model.arch().has_none()) return false;
  const v1::TrainSpec& train = LastTrain(model);
  return !train.has_keep_checkpoint() || train.keep_checkpoint();
}

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_KEPT_CHECKPOINT_H_
