// Softmax's sparse relatives: rows that sum to 1, many entries exactly 0.
#ifndef FOLDFARM_WORKER_MODELS_SPARSE_MASK_H_
#define FOLDFARM_WORKER_MODELS_SPARSE_MASK_H_

namespace at {
class Tensor;
}  // namespace at

namespace foldfarm {

// The point of the probability simplex that is nearest to each row of `z`,
// [B, n] of F32 or F64; differentiable. Exact, by sorting.
// Source: Martins & Astudillo 2016, algorithm 1.
at::Tensor Sparsemax(const at::Tensor& z);

// 1.5-entmax, between softmax and sparsemax: p = max(z / 2 - tau, 0)^2 with the
// tau that makes a row sum to 1. Exact, by sorting.
// Source: Peters, Niculae & Martins 2019, algorithm 2.
at::Tensor Entmax15(const at::Tensor& z);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_SPARSE_MASK_H_
