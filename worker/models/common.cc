#include "worker/models/common.h"

#include <torch/torch.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "worker/models/model.h"

namespace foldfarm {

at::Tensor Model::AuxiliaryLoss() { return {}; }

at::Tensor ToSequence(const at::Tensor& images) {
  const int64_t batch = images.size(0);
  const int64_t columns = images.size(2);
  const at::Tensor place = at::arange(columns, images.options())
                               .div_(static_cast<double>(columns))
                               .view({1, columns, 1})
                               .expand({batch, columns, 1});
  return at::cat({images.transpose(1, 2), place}, 2);
}

void InitializeResidualNetwork(torch::nn::Module& network,
                               absl::string_view last_norm) {
  for (auto& item : network.named_parameters()) {
    at::Tensor& parameter = item.value();
    if (parameter.dim() >= 3) {
      torch::nn::init::kaiming_normal_(parameter, 0, torch::kFanOut,
                                       torch::kReLU);
    } else if (absl::EndsWith(item.key(), last_norm)) {
      torch::nn::init::zeros_(parameter);
    }
  }
}

int64_t RoundChannels(double channels, double least_share) {
  const int64_t rounded =
      std::max<int64_t>(8, static_cast<int64_t>(channels + 4) / 8 * 8);
  return static_cast<double>(rounded) < least_share * channels ? rounded + 8
                                                               : rounded;
}

}  // namespace foldfarm
