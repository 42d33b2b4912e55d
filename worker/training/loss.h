// What training minimizes.
#ifndef FOLDFARM_WORKER_TRAINING_LOSS_H_
#define FOLDFARM_WORKER_TRAINING_LOSS_H_

#include "worker/training/train_options.h"

namespace at {
class Tensor;
}  // namespace at

namespace foldfarm {

// The mean over samples and labels of the loss of F32 or F64 `logits` [B, L],
// a scalar with its gradient.
//
// `labels` [B, L] in [0, 1] are smoothed in place to y / (1 + 2e) + e,
// e = options.label_smoothing. `positive_weights` [L] or undefined: the
// positive part of each label's loss is multiplied by it. With p the logit's
// sigmoid, y the smoothed label and w its weight, an entry costs
// * bce: -w y log p - (1 - y) log(1 - p);
// * focal (Lin et al. 2017), a = focal_alpha, g = focal_gamma:
//   -a w y (1 - p)^g log p - (1 - a) (1 - y) p^g log(1 - p);
//   a of 0: neither a nor 1 - a;
// * asymmetric (Ridnik et al. 2021), q = max(p - asymmetric_margin, 0):
//   -w y (1 - p)^gamma_pos log p - (1 - y) q^gamma_neg log(1 - q).
// The gradient is that of the whole expression, focusing factors included.
// Finite for every finite logit.
at::Tensor TrainingLoss(const TrainOptions& options, const at::Tensor& logits,
                        at::Tensor& labels, const at::Tensor& positive_weights);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_LOSS_H_
