#include "worker/training/optimizer.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

// PyTorch's constants of AdamW and Adam.
constexpr double kBeta1 = 0.9;
constexpr double kBeta2 = 0.999;
constexpr double kEpsilon = 1e-8;
// Float sums over millions of values lose digits: the gradient's norm is that
// of the norms of pieces of this size, and the flat tensors are padded to it.
constexpr int64_t kNormPiece = 4096;
// Keeps the division by a norm of zero finite; torch's clip_grad_norm_.
constexpr double kNormEpsilon = 1e-6;

}  // namespace

struct Optimizer::State {
  struct Slice {
    std::string name;
    int64_t offset;
    std::vector<int64_t> shape;
  };
  std::vector<Slice> slices;
  at::Tensor parameters, gradients;  // Flat.
  // Flat state by kind, in the order in which it is saved.
  NamedTensors kinds;
  at::Tensor average;         // The moving one of `kinds`, or none.
  at::Tensor weight_average;  // The stochastic one of `kinds`, or none.
  at::Tensor aside;  // The parameters while the average takes their place.

  at::Tensor View(const at::Tensor& flat, const Slice& slice) const {
    int64_t size = 1;
    for (const int64_t extent : slice.shape) size *= extent;
    return flat.narrow(0, slice.offset, size).view(slice.shape);
  }
  at::Tensor GradientNorm() const {
    return gradients.view({-1, kNormPiece})
        .norm(2, at::IntArrayRef({1}))
        .norm();
  }
  at::Tensor& AddKind(const std::string& name, at::Tensor initial) {
    return kinds.emplace_back(name, std::move(initial)).second;
  }
};

Optimizer::Optimizer(torch::nn::Module& network, const TrainOptions& options)
    : options_(options), state_(std::make_unique<State>()) {
  const at::NoGradGuard no_grad;
  State& state = *state_;
  const auto named = network.named_parameters();
  int64_t size = 0;
  std::vector<at::Tensor> pieces;
  for (const auto& item : named) {
    state.slices.push_back({item.key(), size, item.value().sizes().vec()});
    pieces.push_back(item.value().detach().reshape({-1}));
    size += item.value().numel();
  }
  const int64_t padding = (kNormPiece - size % kNormPiece) % kNormPiece;
  pieces.push_back(at::zeros({padding}, pieces.front().options()));
  state.parameters = at::cat(pieces);
  state.gradients = at::zeros_like(state.parameters);
  for (size_t i = 0; i < state.slices.size(); ++i) {
    at::Tensor parameter = named[i].value();
    parameter.set_data(state.View(state.parameters, state.slices[i]));
    parameter.mutable_grad() = state.View(state.gradients, state.slices[i]);
  }
  if (options.optimizer == OptimizerKind::kSgd) {
    state.AddKind("momentum", at::zeros_like(state.parameters));
  } else {
    state.AddKind("exp_avg", at::zeros_like(state.parameters));
    state.AddKind("exp_avg_sq", at::zeros_like(state.parameters));
  }
  if (options.ema > 0) {
    state.average = state.AddKind("ema", state.parameters.clone());
  }
  if (options.swa_start > 0) {
    state.weight_average = state.AddKind("swa", state.parameters.clone());
  }
}

Optimizer::~Optimizer() = default;

void Optimizer::ZeroGradients() { state_->gradients.zero_(); }

double Optimizer::GradientNorm() const {
  return state_->GradientNorm().item<double>();
}

void Optimizer::Step(double lr) {
  const at::NoGradGuard no_grad;
  State& state = *state_;
  at::Tensor& p = state.parameters;
  at::Tensor& g = state.gradients;
  if (options_.grad_clip > 0) {
    g.mul_(state.GradientNorm()
               .add_(kNormEpsilon)
               .reciprocal_()
               .mul_(options_.grad_clip)
               .clamp_max_(1));
  }
  ++steps_;
  const bool decoupled = options_.optimizer == OptimizerKind::kAdamw;
  if (!decoupled && options_.weight_decay > 0) {
    g.add_(p, options_.weight_decay);
  }
  if (options_.optimizer != OptimizerKind::kSgd) {
    at::Tensor& m = state.kinds[0].second;
    at::Tensor& v = state.kinds[1].second;
    const double correction1 = 1 - std::pow(kBeta1, steps_);
    const double correction2 = 1 - std::pow(kBeta2, steps_);
    if (decoupled) p.mul_(1 - lr * options_.weight_decay);
    m.mul_(kBeta1).add_(g, 1 - kBeta1);
    v.mul_(kBeta2).addcmul_(g, g, 1 - kBeta2);
    const at::Tensor denominator =
        v.sqrt().div_(std::sqrt(correction2)).add_(kEpsilon);
    p.addcdiv_(m, denominator, -lr / correction1);
  } else {
    at::Tensor& velocity = state.kinds[0].second;
    velocity.mul_(options_.momentum).add_(g);
    p.add_(g, -lr).add_(velocity, -lr * options_.momentum);
  }
  if (state.average.defined()) {
    // Short memory at first, so that the random start is soon forgotten.
    const double steps = static_cast<double>(steps_);
    const double decay = std::min(options_.ema, (1 + steps) / (10 + steps));
    state.average.lerp_(p, 1 - decay);
  }
}

void Optimizer::UseAverage() {
  if (!state_->average.defined()) return;
  const at::NoGradGuard no_grad;
  state_->aside = state_->parameters.clone();
  state_->parameters.copy_(state_->average);
}

void Optimizer::UseParameters() {
  if (!state_->average.defined()) return;
  const at::NoGradGuard no_grad;
  state_->parameters.copy_(state_->aside);
  state_->aside = at::Tensor();
}

void Optimizer::AddToWeightAverage(int64_t count) {
  const at::NoGradGuard no_grad;
  state_->weight_average.lerp_(state_->parameters,
                               1.0 / static_cast<double>(count + 1));
}

void Optimizer::KeepAverage() {
  const at::NoGradGuard no_grad;
  for (const at::Tensor& average : {state_->average, state_->weight_average}) {
    if (average.defined()) state_->parameters.copy_(average);
  }
}

NamedTensors Optimizer::NamedState() const {
  NamedTensors result;
  for (const auto& [kind, flat] : state_->kinds) {
    for (const State::Slice& slice : state_->slices) {
      result.emplace_back(absl::StrCat(kind, "/", slice.name),
                          state_->View(flat, slice));
    }
  }
  return result;
}

std::vector<at::Tensor> Optimizer::FlatState() const {
  std::vector<at::Tensor> result = {state_->parameters};
  for (const auto& item : state_->kinds) result.push_back(item.second);
  return result;
}

}  // namespace foldfarm
