#include "worker/training/batch_statistics.h"

#include <torch/torch.h>

#include <functional>
#include <vector>

namespace foldfarm {

struct CumulativeBatchStatistics::State {
  std::vector<std::function<void()>> restore;

  template <typename Norm>
  void Begin(const std::shared_ptr<torch::nn::Module>& module) {
    auto* norm = module->as<Norm>();
    if (norm == nullptr || !norm->options.track_running_stats()) return;
    const auto momentum = norm->options.momentum();
    auto none = momentum;
    none.reset();  // No momentum: each batch counts alike.
    norm->reset_running_stats();
    norm->options.momentum(none);
    restore.push_back([norm, momentum] { norm->options.momentum(momentum); });
  }
};

CumulativeBatchStatistics::CumulativeBatchStatistics(torch::nn::Module& network)
    : state_(std::make_unique<State>()) {
  const at::NoGradGuard no_grad;
  for (const auto& module : network.modules(/*include_self=*/false)) {
    state_->Begin<torch::nn::BatchNorm1dImpl>(module);
    state_->Begin<torch::nn::BatchNorm2dImpl>(module);
  }
}

CumulativeBatchStatistics::~CumulativeBatchStatistics() {
  for (const auto& restore : state_->restore) restore();
}

bool CumulativeBatchStatistics::empty() const {
  return state_->restore.empty();
}

}  // namespace foldfarm
