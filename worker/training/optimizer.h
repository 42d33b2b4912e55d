// AdamW, Adam and SGD over all parameters of a network at once, and the
// averages of its weights.
//
// The parameters become views of one flat tensor, and so do their gradients.
// Clipping, the update, the moving average and copies of the state are then a
// few operations each whatever the network, which is what small networks spend
// their time on otherwise. Same arithmetic as PyTorch's. Not thread-safe.
#ifndef FOLDFARM_WORKER_TRAINING_OPTIMIZER_H_
#define FOLDFARM_WORKER_TRAINING_OPTIMIZER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/training/train_options.h"

namespace at {
class Tensor;
}  // namespace at
namespace torch::nn {
class Module;
}  // namespace torch::nn

namespace foldfarm {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

class Optimizer {
 public:
  // Takes over the storage of `network`'s parameters, which are on their final
  // device and stay valid; gradients live as long as this.
  Optimizer(torch::nn::Module& network, const TrainOptions& options);
  ~Optimizer();
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  void ZeroGradients();

  // Clips the gradient's 2-norm to options.grad_clip and takes a step of
  // learning rate `lr`; then moves the average.
  void Step(double lr);

  // 2-norm of the gradient as it is: before Step, not yet clipped.
  double GradientNorm() const;

  // Puts the moving average (options.ema) in place of the parameters and back;
  // nothing without one. REQUIRES: called in turns, no Step between.
  void UseAverage();
  void UseParameters();

  // Takes the parameters into the stochastic weight average, after `count`
  // others: average += (parameters - average) / (count + 1).
  // REQUIRES: options.swa_start > 0.
  // Source: Izmailov et al. 2018, algorithm 1.
  void AddToWeightAverage(int64_t count);

  // Makes whichever average there is the parameters, for good.
  void KeepAverage();

  // The state, shared with this: one tensor a parameter and kind, named
  // KIND/PARAMETER ("exp_avg/fc.weight", "momentum/...", "ema/...", "swa/...").
  NamedTensors NamedState() const;

  // The same as few flat tensors, parameters included.
  std::vector<at::Tensor> FlatState() const;

  // Steps taken so far.
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  struct State;
  const TrainOptions options_;
  std::unique_ptr<State> state_;
  int64_t steps_ = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_OPTIMIZER_H_
