// Whether two models may share one ensemble member: each fold's network is one
// of it, and all are fed and averaged with the same options.
#ifndef FOLDFARM_COMMON_SWEEP_PREDICT_ALIKE_H_
#define FOLDFARM_COMMON_SWEEP_PREDICT_ALIKE_H_

#include "foldfarm/v1/sweep.pb.h"

namespace foldfarm {

// Whether `a` and `b` draw the same images (`representation`), change them
// alike in test-time augmentation (`augment`), have the same labels and, where
// they are networks, the same architecture. How they are trained may differ,
// and with trees and programs that is part of `arch`. Pure.
bool PredictAlike(const v1::ModelSpec& a, const v1::ModelSpec& b);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SWEEP_PREDICT_ALIKE_H_
