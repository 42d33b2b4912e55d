#include "worker/training/batch_statistics.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace foldfarm {
namespace {

TEST(BatchStatisticsTest, AreTheMeanOverTheBatchesSeen) {
  torch::nn::BatchNorm1d norm(4);
  torch::nn::Sequential network(torch::nn::Linear(3, 4), norm);
  torch::manual_seed(1);
  network->train();
  for (int i = 0; i < 5; ++i) network->forward(at::randn({6, 3}));
  const at::Tensor before = norm->running_mean.clone();

  at::Tensor mean = at::zeros({4}), variance = at::zeros({4});
  {
    const at::NoGradGuard no_grad;
    const CumulativeBatchStatistics statistics(*network);
    EXPECT_FALSE(statistics.empty());
    for (int i = 0; i < 3; ++i) {
      const at::Tensor batch = at::randn({6, 3}) + i;
      const at::Tensor features =
          network->ptr<torch::nn::LinearImpl>(0)->forward(batch);
      mean += features.mean(0) / 3;
      variance += features.var(0) / 3;
      network->forward(batch);
    }
  }
  EXPECT_TRUE(norm->running_mean.allclose(mean, 1e-5, 1e-6));
  EXPECT_TRUE(norm->running_var.allclose(variance, 1e-5, 1e-6));
  EXPECT_EQ(norm->num_batches_tracked.item<int64_t>(), 3);
  EXPECT_FALSE(norm->running_mean.allclose(before));
  EXPECT_EQ(norm->options.momentum(), 0.1);
}

TEST(BatchStatisticsTest, NetworkWithoutNormalizationHasNone) {
  torch::nn::Sequential network(torch::nn::Linear(3, 4));
  EXPECT_TRUE(CumulativeBatchStatistics(*network).empty());
}

}  // namespace
}  // namespace foldfarm
