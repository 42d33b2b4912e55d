// Sparse masks against their definitions, parts of a batch against the batch,
// and the network that is made of both.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "worker/models/ghost_norm.h"
#include "worker/models/model.h"
#include "worker/models/sparse_mask.h"
#include "worker/training/optimizer.h"
#include "worker/training/tensor_io.h"

namespace foldfarm {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

using Mask = at::Tensor (*)(const at::Tensor&);

at::Tensor Scores(int64_t rows, int64_t columns) {
  torch::manual_seed(5);
  return at::randn({rows, columns}, at::kDouble).mul_(1.5);
}

class MaskTest : public ::testing::TestWithParam<Mask> {};
INSTANTIATE_TEST_SUITE_P(All, MaskTest,
                         ::testing::Values(&Sparsemax, &Entmax15),
                         [](const auto& info) {
                           return info.index == 0 ? "Sparsemax" : "Entmax15";
                         });

TEST_P(MaskTest, RowsSumToOneAndManyEntriesAreExactlyZero) {
  const at::Tensor p = GetParam()(Scores(20, 60));
  EXPECT_TRUE(at::allclose(p.sum(1), at::ones({20}, at::kDouble), 0, 1e-12));
  EXPECT_GE(p.min().item<double>(), 0);
  EXPECT_GT(p.eq(0).sum().item<int64_t>(), 20 * 60 / 2);
  // A constant changes nothing, however large.
  EXPECT_TRUE(at::allclose(GetParam()(Scores(20, 60) + 1000), p, 0, 1e-9));
}

TEST_P(MaskTest, EqualScoresShareAndALoneScoreTakesAll) {
  const at::Tensor even = GetParam()(at::full({1, 4}, 7.0));
  EXPECT_TRUE(at::allclose(even, at::full({1, 4}, 0.25)));
  EXPECT_EQ(GetParam()(at::full({3, 1}, -2.0)).sum().item<float>(), 3);
  const at::Tensor far = at::tensor({9.0, 0.0, -1.0}).unsqueeze(0);
  EXPECT_TRUE(GetParam()(far).equal(at::tensor({1.0, 0.0, 0.0}).unsqueeze(0)));
}

TEST_P(MaskTest, GradientIsThatOfFiniteDifferences) {
  const at::Tensor z = Scores(3, 12);
  const at::Tensor weight = at::randn({3, 12}, at::kDouble);
  at::Tensor live = z.clone().requires_grad_();
  (GetParam()(live) * weight).sum().backward();
  constexpr double kStep = 1e-6;
  for (int64_t i = 0; i < z.numel(); ++i) {
    const auto value = [&](double step) {
      at::Tensor moved = z.clone();
      moved.view({-1})[i] += step;
      return (GetParam()(moved) * weight).sum().item<double>();
    };
    EXPECT_NEAR(live.grad().view({-1})[i].item<double>(),
                (value(kStep) - value(-kStep)) / (2 * kStep), 1e-5)
        << i;
  }
}

// What each minimizes over the simplex: sparsemax |p - z|^2 / 2, 1.5-entmax
// sum(p^1.5) / 0.75 - p.z (Tsallis entropy).
double SparsemaxObjective(const at::Tensor& p, const at::Tensor& z) {
  return (p - z).square().sum().item<double>() / 2;
}
double EntmaxObjective(const at::Tensor& p, const at::Tensor& z) {
  return (p.pow(1.5).sum() / 0.75 - (p * z).sum()).item<double>();
}

TEST_P(MaskTest, NoOtherPointOfTheSimplexIsBetter) {
  const auto objective =
      GetParam() == &Sparsemax ? &SparsemaxObjective : &EntmaxObjective;
  const at::Tensor z = Scores(1, 8);
  const at::Tensor p = GetParam()(z);
  const double best = objective(p, z);
  for (int trial = 0; trial < 200; ++trial) {
    at::Tensor other = at::rand({1, 8}, at::kDouble).pow_(3);
    other /= other.sum();
    for (const double step : {1e-3, 0.1, 1.0}) {
      EXPECT_LE(best, objective(p + (other - p) * step, z) + 1e-12);
    }
  }
}

TEST(GhostNormTest, AVirtualBatchOfTheWholeBatchIsBatchNorm) {
  const at::Tensor x = at::randn({12, 5}) * 3 + 1;
  torch::nn::BatchNorm1d whole(5), ghost(5);
  EXPECT_TRUE(GhostNorm(*ghost, x, 12).equal(whole->forward(x)));
  EXPECT_TRUE(ghost->running_var.equal(whole->running_var));
}

TEST(GhostNormTest, EveryPartIsNormalizedByItself) {
  torch::nn::BatchNorm1d norm(torch::nn::BatchNorm1dOptions(4).momentum(0.5));
  const at::Tensor x = at::randn({12, 4});
  const at::Tensor y = GhostNorm(*norm, x, 4);
  for (const at::Tensor& part : y.split(4)) {
    EXPECT_TRUE(at::allclose(part.mean(0), at::zeros({4}), 0, 1e-5));
  }
  // Three parts, each moving the running mean by half.
  const at::Tensor mean = x.narrow(0, 0, 4).mean(0) / 8 +
                          x.narrow(0, 4, 4).mean(0) / 4 +
                          x.narrow(0, 8, 4).mean(0) / 2;
  EXPECT_TRUE(at::allclose(norm->running_mean, mean, 1e-4, 1e-6));
  norm->eval();
  EXPECT_TRUE(GhostNorm(*norm, x, 4).equal(norm->forward(x)));
}

TEST(GhostNormTest, NoPartIsLeftWithOneRow) {
  for (const int64_t rows : {2, 3, 5, 9, 33}) {
    torch::nn::BatchNorm1d norm(3);
    GhostNorm(*norm, at::randn({rows, 3}), 2);
    EXPECT_TRUE(norm->running_var.isfinite().all().item<bool>()) << rows;
  }
}

TabnetOptions Small() {
  TabnetOptions options;
  options.features.bands = {240};
  options.decision = 8;
  options.attention = 8;
  options.steps = 2;
  options.momentum = 0.1;
  return options;
}

std::shared_ptr<Model> Build(const TabnetOptions& options, int labels) {
  torch::manual_seed(1);
  auto model = BuildModel(options, labels);
  EXPECT_TRUE(model.ok()) << model.status();
  return *model;
}

TEST(TabnetTest, NamesAreThoseOfPytorchTabnetAndSharedLayersAreStoredOnce) {
  const auto model = Build(Small(), 3);
  std::vector<std::string> names;
  for (const auto& [name, tensor] : NamedWeights(model->module())) {
    names.push_back(name);
  }
  for (const char* name :
       {"tabnet.encoder.initial_bn.running_mean",
        "tabnet.encoder.initial_splitter.shared.glu_layers.0.fc.weight",
        "tabnet.encoder.initial_splitter.specifics.glu_layers.1.bn.bn.bias",
        "tabnet.encoder.feat_transformers.1.shared.glu_layers.0.bn.bn.weight",
        "tabnet.encoder.att_transformers.1.fc.weight",
        "tabnet.final_mapping.weight"}) {
    EXPECT_THAT(names, Contains(std::string(name)));
  }
  EXPECT_THAT(names,
              Not(Contains(std::string("tabnet.encoder.feat_transformers.0."
                                       "shared.glu_layers.0.fc.weight"))));
}

TEST(TabnetTest, TheMasksEntropyIsAPenaltyOnlyWhenAskedFor) {
  TabnetOptions options = Small();
  const at::Tensor images = at::rand({6, 100, 80});
  options.sparsity = 0.5;
  auto model = Build(options, 3);
  EXPECT_FALSE(model->AuxiliaryLoss().defined());
  model->Forward(images);
  const at::Tensor penalty = model->AuxiliaryLoss();
  ASSERT_TRUE(penalty.defined());
  EXPECT_GT(penalty.item<float>(), 0);
  // At most that of a mask which chooses nothing.
  EXPECT_LE(penalty.item<float>(), 0.5 * std::log(1000.0));
  EXPECT_TRUE(penalty.requires_grad());
  options.sparsity = 0;
  model = Build(options, 3);
  model->Forward(images);
  EXPECT_FALSE(model->AuxiliaryLoss().defined());
}

// A peak at m/z 18 in one of two bands, or none, hidden in noise.
void MakeTask(at::Tensor& images, at::Tensor& labels) {
  torch::manual_seed(2);
  images = at::rand({96, 100, 80});
  labels = at::rand({96, 2}).lt(0.5).to(at::kFloat);
  images.narrow(1, 18, 1).narrow(2, 25, 3).add_(
      labels.select(1, 0).view({-1, 1, 1}));
  images.narrow(1, 18, 1).narrow(2, 65, 3).add_(
      labels.select(1, 1).view({-1, 1, 1}));
}

class TabnetLearnsTest : public ::testing::TestWithParam<TabnetMask> {};
INSTANTIATE_TEST_SUITE_P(All, TabnetLearnsTest,
                         ::testing::Values(TabnetMask::kSparsemax,
                                           TabnetMask::kEntmax),
                         [](const auto& info) {
                           return info.index == 0 ? "Sparsemax" : "Entmax";
                         });

TEST_P(TabnetLearnsTest, AMadeTask) {
  TabnetOptions options = Small();
  options.mask = GetParam();
  options.virtual_batch = 48;
  options.momentum = 0.3;
  const auto model = Build(options, 2);
  at::Tensor images, labels;
  MakeTask(images, labels);
  TrainOptions train;
  train.weight_decay = 0;
  Optimizer optimizer(model->module(), train);
  double loss = 0;
  constexpr int kSteps = 80;
  for (int step = 0; step < kSteps; ++step) {
    const at::Tensor logits = model->Forward(images);
    const at::Tensor total =
        at::binary_cross_entropy_with_logits(logits, labels);
    optimizer.ZeroGradients();
    (total + model->AuxiliaryLoss()).backward();
    // To 0, so that the running statistics catch up.
    optimizer.Step(0.02 * (1 - static_cast<double>(step) / kSteps));
    loss = total.item<double>();
  }
  EXPECT_LT(loss, 0.1);
  model->module().eval();
  const at::NoGradGuard no_grad;
  const double held =
      at::binary_cross_entropy_with_logits(model->Forward(images), labels)
          .item<double>();
  EXPECT_LT(held, 0.45);  // Knowing nothing costs 0.69.
}

TEST(TabnetTest, ImpossibleOptionsAreRefused) {
  TabnetOptions options = Small();
  options.shared_layers = 0;
  options.step_layers = 0;
  EXPECT_THAT(BuildModel(options, 3).status().ToString(),
              HasSubstr("0 shared and 0 own layers"));
  options = Small();
  options.virtual_batch = 1;
  EXPECT_THAT(BuildModel(options, 3).status().ToString(),
              HasSubstr("virtual_batch is 1"));
  options = Small();
  options.features.bands.clear();
  EXPECT_THAT(BuildModel(options, 3).status().ToString(),
              HasSubstr("0 widths of bands"));
  options = Small();
  options.shared_layers = 0;
  EXPECT_TRUE(BuildModel(options, 3).ok());
  options.step_layers = 0;
  options.shared_layers = 1;
  EXPECT_TRUE(BuildModel(options, 3).ok());
}

}  // namespace
}  // namespace foldfarm
