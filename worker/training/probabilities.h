// What a network says of images.
#ifndef FOLDFARM_WORKER_TRAINING_PROBABILITIES_H_
#define FOLDFARM_WORKER_TRAINING_PROBABILITIES_H_

#include "worker/models/model.h"

namespace foldfarm {

// `images`: F32 [B, 100, 80]. Returns probabilities, F32 [B, num_labels], in
// eval mode and without a gradient. Where the GPU has no room for all images at
// once they go through in halves, down to one: a network that could be trained
// in small batches is not lost to a larger one of scoring.
at::Tensor Probabilities(Model& model, const at::Tensor& images, bool bf16);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_PROBABILITIES_H_
