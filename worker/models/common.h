// What several networks share.
#ifndef FOLDFARM_WORKER_MODELS_COMMON_H_
#define FOLDFARM_WORKER_MODELS_COMMON_H_

#include <cstdint>

#include "absl/strings/string_view.h"
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
// weights whose names end in `last_norm` (".bn2.weight": each block's last
// normalization) zero, so that each block starts as the identity.
void InitializeResidualNetwork(torch::nn::Module& network,
                               absl::string_view last_norm);

// timm's number of channels near `channels`: a multiple of 8, at least 8, and
// not below `least_share` of what was asked for.
int64_t RoundChannels(double channels, double least_share);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_COMMON_H_
