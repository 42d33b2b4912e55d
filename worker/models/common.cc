#include "worker/models/common.h"

#include <torch/torch.h>

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

void InitializeResidualNetwork(torch::nn::Module& network) {
  for (auto& item : network.named_parameters()) {
    at::Tensor& parameter = item.value();
    if (parameter.dim() >= 3) {
      torch::nn::init::kaiming_normal_(parameter, 0, torch::kFanOut,
                                       torch::kReLU);
    } else if (item.key().ends_with(".bn2.weight")) {
      torch::nn::init::zeros_(parameter);
    }
  }
}

}  // namespace foldfarm
