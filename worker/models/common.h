// What several networks share.
#ifndef FOLDFARM_WORKER_MODELS_COMMON_H_
#define FOLDFARM_WORKER_MODELS_COMMON_H_

#include <cstdint>

#include "common/spectra/prepared_dataset.h"

namespace at {
class Tensor;
}  // namespace at
namespace torch::nn {
class Module;
}  // namespace torch::nn

namespace foldfarm {

// Values a temperature: the m/z and the column's place.
inline constexpr int64_t kSequenceFeatures = kNumMz + 1;

// [B, 100, 80] to [B, 80, 101]: each temperature k with its 100 m/z and k / 80.
at::Tensor ToSequence(const at::Tensor& images);

// timm's start of a ResNet: convolutions Kaiming-normal (fan out), and the
// weight of every block's "bn2" zero, so that each block starts as the
// identity.
void InitializeResidualNetwork(torch::nn::Module& network);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_COMMON_H_
