// Batch norm over parts of a batch.
#ifndef FOLDFARM_WORKER_MODELS_GHOST_NORM_H_
#define FOLDFARM_WORKER_MODELS_GHOST_NORM_H_

#include <cstdint>

namespace torch::nn {
class BatchNorm1dImpl;
}  // namespace torch::nn
namespace at {
class Tensor;
}  // namespace at

namespace foldfarm {

// Normalizes `x`, [B, n]. In train mode as many parts of nearly equal size as
// it takes to have at most `virtual_batch` rows in each, but at least 2, one
// after the other by its own statistics; each moves the running ones. In eval
// mode the running statistics serve.
// Source: Hoffer, Hubara & Soudry 2017, algorithm 1.
at::Tensor GhostNorm(torch::nn::BatchNorm1dImpl& norm, const at::Tensor& x,
                     int64_t virtual_batch);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_GHOST_NORM_H_
