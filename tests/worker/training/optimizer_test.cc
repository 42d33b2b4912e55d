#include "worker/training/optimizer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <memory>
#include <vector>

namespace foldfarm {
namespace {

struct Net : torch::nn::Module {
  Net() {
    first = register_module("first", torch::nn::Linear(7, 5));
    second = register_module("second", torch::nn::Linear(5, 1));
  }
  at::Tensor Loss(const at::Tensor& x) {
    return second->forward(first->forward(x).tanh()).square().mean();
  }
  torch::nn::Linear first{nullptr}, second{nullptr};
};

std::shared_ptr<Net> MakeNet() {
  torch::manual_seed(4);
  return std::make_shared<Net>();
}

// Trains one net with `options` and one with `reference`; both must agree.
void ExpectSameTraining(
    const TrainOptions& options,
    const std::function<std::unique_ptr<torch::optim::Optimizer>(
        std::vector<at::Tensor>)>& make_reference) {
  const auto ours = MakeNet(), theirs = MakeNet();
  Optimizer optimizer(*ours, options);
  const auto reference = make_reference(theirs->parameters());
  for (int step = 0; step < 20; ++step) {
    const at::Tensor x = at::randn({16, 7});
    optimizer.ZeroGradients();
    ours->Loss(x).backward();
    optimizer.Step(options.lr);
    reference->zero_grad();
    theirs->Loss(x).backward();
    if (options.grad_clip > 0) {
      torch::nn::utils::clip_grad_norm_(theirs->parameters(),
                                        options.grad_clip);
    }
    reference->step();
  }
  const auto expected = theirs->named_parameters();
  for (const auto& item : ours->named_parameters()) {
    EXPECT_TRUE(item.value().allclose(expected[item.key()], 1e-5, 1e-6))
        << item.key();
  }
}

TEST(OptimizerTest, AdamwTakesTheStepsOfPyTorchs) {
  TrainOptions options;
  options.lr = 0.01;
  options.weight_decay = 0.1;
  options.grad_clip = 0.05;
  ExpectSameTraining(options, [&](std::vector<at::Tensor> parameters) {
    return std::make_unique<torch::optim::AdamW>(
        std::move(parameters),
        torch::optim::AdamWOptions(options.lr).weight_decay(0.1));
  });
}

TEST(OptimizerTest, AdamTakesTheStepsOfPyTorchs) {
  TrainOptions options;
  options.optimizer = OptimizerKind::kAdam;
  options.lr = 0.01;
  options.weight_decay = 0.1;
  options.grad_clip = 0.05;
  ExpectSameTraining(options, [&](std::vector<at::Tensor> parameters) {
    return std::make_unique<torch::optim::Adam>(
        std::move(parameters),
        torch::optim::AdamOptions(options.lr).weight_decay(0.1));
  });
}

TEST(OptimizerTest, SgdWithNesterovTakesTheStepsOfPyTorchs) {
  TrainOptions options;
  options.optimizer = OptimizerKind::kSgd;
  options.lr = 0.05;
  options.weight_decay = 0.01;
  options.grad_clip = 0;
  ExpectSameTraining(options, [&](std::vector<at::Tensor> parameters) {
    return std::make_unique<torch::optim::SGD>(
        std::move(parameters), torch::optim::SGDOptions(options.lr)
                                   .momentum(0.9)
                                   .nesterov(true)
                                   .weight_decay(0.01));
  });
}

TEST(OptimizerTest, AverageTakesThePlaceOfTheParametersAndGivesItBack) {
  TrainOptions options;
  options.ema = 0.9;
  options.lr = 0.1;
  const auto net = MakeNet();
  Optimizer optimizer(*net, options);
  const at::Tensor start = net->first->weight.detach().clone();
  net->Loss(at::ones({4, 7})).backward();
  optimizer.Step(options.lr);
  const at::Tensor stepped = net->first->weight.detach().clone();
  optimizer.UseAverage();
  // After one step the decay is 2 / 11.
  EXPECT_TRUE(net->first->weight.allclose(
      start + (stepped - start) * (9.0 / 11), 1e-5, 1e-6));
  optimizer.UseParameters();
  EXPECT_TRUE(net->first->weight.equal(stepped));
}

TEST(OptimizerTest, WeightAverageIsTheMeanOfWhatWasAdded) {
  TrainOptions options;
  options.swa_start = 0.5;
  options.lr = 0.1;
  const auto net = MakeNet();
  Optimizer optimizer(*net, options);
  at::Tensor sum = at::zeros_like(net->first->weight);
  for (int count = 0; count < 4; ++count) {
    optimizer.ZeroGradients();
    net->Loss(at::ones({4, 7}) * (count + 1)).backward();
    optimizer.Step(options.lr);
    optimizer.AddToWeightAverage(count);
    sum += net->first->weight.detach();
  }
  const at::Tensor last = net->first->weight.detach().clone();
  optimizer.UseAverage();  // Concerns the moving average alone.
  optimizer.UseParameters();
  EXPECT_TRUE(net->first->weight.equal(last));
  optimizer.KeepAverage();
  EXPECT_TRUE(net->first->weight.allclose(sum / 4, 1e-5, 1e-7));
}

TEST(OptimizerTest, GradientNormKeepsItsDigitsOverMillionsOfValues) {
  const auto wide = std::make_shared<torch::nn::LinearImpl>(4096, 4096);
  Optimizer optimizer(*wide, TrainOptions());
  for (at::Tensor& parameter : wide->parameters()) {
    parameter.mutable_grad().fill_(0.001);
  }
  EXPECT_NEAR(
      optimizer.GradientNorm() / (0.001 * std::sqrt(4096.0 * 4096 + 4096)), 1,
      1e-5);
}

}  // namespace
}  // namespace foldfarm
