#include "worker/models/sparse_mask.h"

#include <torch/torch.h>

namespace foldfarm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// 1, 2, ..., n.
at::Tensor Ranks(const at::Tensor& z) {
  return at::arange(1, z.size(1) + 1, z.options());
}

at::Tensor SortFalling(const at::Tensor& z) {
  return std::get<0>(z.sort(/*dim=*/1, /*descending=*/true));
}

struct SparsemaxFunction : Function<SparsemaxFunction> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input) {
    // Only differences matter: the largest becomes 0, so that sums stay exact.
    const at::Tensor z = input - input.amax(1, /*keepdim=*/true);
    const at::Tensor sorted = SortFalling(z);
    const at::Tensor sums = sorted.cumsum(1);
    // The support is a prefix of the sorted row.
    const at::Tensor size =
        sorted.mul(Ranks(z)).add_(1).gt(sums).sum(1, /*keepdim=*/true);
    const at::Tensor tau = sums.gather(1, size - 1).sub_(1).div_(size);
    const at::Tensor p = (z - tau).clamp_min_(0);
    context->save_for_backward({p});
    return p;
  }

  // On the support the gradient less its mean there; elsewhere 0.
  static variable_list backward(AutogradContext* context,
                                variable_list gradients) {
    const at::Tensor support =
        context->get_saved_variables()[0].gt(0).to(gradients[0].scalar_type());
    const at::Tensor mean = (gradients[0] * support)
                                .sum(1, /*keepdim=*/true)
                                .div_(support.sum(1, /*keepdim=*/true));
    return {(gradients[0] - mean) * support};
  }
};

struct Entmax15Function : Function<Entmax15Function> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input) {
    const at::Tensor z = (input - input.amax(1, /*keepdim=*/true)) * 0.5;
    const at::Tensor sorted = SortFalling(z);
    const at::Tensor ranks = Ranks(z);
    // Over the largest k: sum of (z - tau)^2 is 1 for
    // tau = mean - sqrt((1 - k * variance) / k).
    const at::Tensor mean = sorted.cumsum(1) / ranks;
    const at::Tensor mean_square = sorted.square().cumsum(1) / ranks;
    const at::Tensor scatter = (mean_square - mean.square()) * ranks;
    const at::Tensor tau = mean - ((1 - scatter) / ranks).clamp_min_(0).sqrt_();
    const at::Tensor size = tau.le(sorted).sum(1, /*keepdim=*/true);
    const at::Tensor root = (z - tau.gather(1, size - 1)).clamp_min_(0);
    context->save_for_backward({root});
    return root.square();
  }

  static variable_list backward(AutogradContext* context,
                                variable_list gradients) {
    const at::Tensor root = context->get_saved_variables()[0];
    const at::Tensor mean = (gradients[0] * root)
                                .sum(1, /*keepdim=*/true)
                                .div_(root.sum(1, /*keepdim=*/true));
    return {(gradients[0] - mean) * root};
  }
};

}  // namespace

at::Tensor Sparsemax(const at::Tensor& z) {
  return SparsemaxFunction::apply(z);
}

at::Tensor Entmax15(const at::Tensor& z) { return Entmax15Function::apply(z); }

}  // namespace foldfarm
