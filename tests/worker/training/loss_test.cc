#include "worker/training/loss.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

namespace foldfarm {
namespace {

// The formulas as the papers print them, in double precision.
double Sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double Reference(const TrainOptions& options, double x, double label,
                 double weight) {
  const double e = options.label_smoothing;
  const double y = label / (1 + 2 * e) + e;
  const double p = Sigmoid(x);
  if (options.loss == LossKind::kFocal) {
    const double g = options.focal_gamma;
    const double a = options.focal_alpha > 0 ? options.focal_alpha : 1;
    const double b = options.focal_alpha > 0 ? 1 - options.focal_alpha : 1;
    return -a * weight * y * std::pow(1 - p, g) * std::log(p) -
           b * (1 - y) * std::pow(p, g) * std::log(1 - p);
  }
  if (options.loss == LossKind::kAsymmetric) {
    const double q = std::max(p - options.asymmetric_margin, 0.0);
    return -weight * y * std::pow(1 - p, options.asymmetric_gamma_pos) *
               std::log(p) -
           (1 - y) * std::pow(q, options.asymmetric_gamma_neg) *
               std::log(1 - q);
  }
  return -weight * y * std::log(p) - (1 - y) * std::log(1 - p);
}

struct LossCase {
  std::string name;
  TrainOptions options;
  std::vector<double> weights;  // Of three labels; empty: none.
};

LossCase Case(const std::string& name, LossKind kind) {
  LossCase result;
  result.name = name;
  result.options.loss = kind;
  result.options.label_smoothing = 0;
  return result;
}

std::vector<LossCase> Cases() {
  std::vector<LossCase> cases;
  cases.push_back(Case("bce", LossKind::kBce));
  cases.push_back(Case("bce_weighted", LossKind::kBce));
  cases.back().weights = {1, 3.5, 0.2};
  cases.back().options.label_smoothing = 0.05;
  cases.push_back(Case("focal", LossKind::kFocal));
  cases.push_back(Case("focal_alpha", LossKind::kFocal));
  cases.back().options.focal_alpha = 0.25;
  cases.back().options.focal_gamma = 0.5;
  cases.back().options.label_smoothing = 0.01;
  cases.back().weights = {2, 1, 1};
  cases.push_back(Case("asymmetric", LossKind::kAsymmetric));
  cases.push_back(Case("asymmetric_both", LossKind::kAsymmetric));
  cases.back().options.asymmetric_gamma_pos = 1.5;
  cases.back().options.asymmetric_gamma_neg = 0.4;
  cases.back().options.asymmetric_margin = 0.2;
  cases.back().options.label_smoothing = 0.02;
  cases.back().weights = {1, 2, 3};
  cases.push_back(Case("asymmetric_no_margin", LossKind::kAsymmetric));
  cases.back().options.asymmetric_margin = 0;
  return cases;
}

class LossTest : public ::testing::TestWithParam<LossCase> {
 protected:
  // Logits [17, 3] from -8 to 8 and labels of both kinds.
  static at::Tensor Logits(at::ScalarType type) {
    return (at::arange(17 * 3, at::dtype(at::kDouble)).view({17, 3}) *
                (16 / 50.) -
            8)
        .to(type);
  }
  static at::Tensor Labels(at::ScalarType type) {
    return at::arange(17 * 3, at::dtype(at::kLong))
        .view({17, 3})
        .remainder(2)
        .to(type);
  }
  at::Tensor Weights(at::ScalarType type) const {
    if (GetParam().weights.empty()) return {};
    return at::tensor(GetParam().weights, at::kDouble).to(type);
  }
  at::Tensor Loss(const at::Tensor& logits, at::Tensor labels) const {
    return TrainingLoss(GetParam().options, logits, labels,
                        Weights(logits.scalar_type()));
  }
};

TEST_P(LossTest, EqualsThePapersFormula) {
  const at::Tensor logits = Logits(at::kDouble);
  const at::Tensor labels = Labels(at::kDouble);
  double expected = 0;
  for (int i = 0; i < 17; ++i) {
    for (int j = 0; j < 3; ++j) {
      expected +=
          Reference(GetParam().options, logits[i][j].item<double>(),
                    labels[i][j].item<double>(),
                    GetParam().weights.empty() ? 1 : GetParam().weights[j]);
    }
  }
  expected /= 17 * 3;
  EXPECT_NEAR(Loss(logits, labels.clone()).item<double>(), expected, 1e-9);
  EXPECT_NEAR(
      Loss(Logits(at::kFloat), Labels(at::kFloat)).item<double>() / expected, 1,
      1e-5);
}

TEST_P(LossTest, GradientIsTheSlope) {
  const at::Tensor logits = Logits(at::kDouble).requires_grad_();
  Loss(logits, Labels(at::kDouble)).backward();
  constexpr double kStep = 1e-6;
  const at::NoGradGuard no_grad;
  for (int i = 0; i < 17; ++i) {
    for (int j = 0; j < 3; ++j) {
      at::Tensor above = logits.detach().clone();
      at::Tensor below = logits.detach().clone();
      above[i][j] += kStep;
      below[i][j] -= kStep;
      const double slope = (Loss(above, Labels(at::kDouble)).item<double>() -
                            Loss(below, Labels(at::kDouble)).item<double>()) /
                           (2 * kStep);
      EXPECT_NEAR(logits.grad()[i][j].item<double>(), slope, 1e-8)
          << i << ", " << j;
    }
  }
}

TEST_P(LossTest, LargeLogitsGiveFiniteLossesAndGradients) {
  for (const double size : {30., 200., 3e4}) {
    for (const double label : {0., 1.}) {
      at::Tensor logits = at::tensor({-size, 0., size}, at::kDouble)
                              .to(at::kFloat)
                              .view({1, 3})
                              .requires_grad_();
      const at::Tensor loss =
          Loss(logits, at::full({1, 3}, label, at::dtype(at::kFloat)));
      loss.backward();
      EXPECT_TRUE(std::isfinite(loss.item<double>())) << size;
      EXPECT_TRUE(logits.grad().isfinite().all().item<bool>()) << size;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, LossTest, ::testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST(LossesTest, WithoutFocusingBothAreCrossEntropy) {
  const at::Tensor logits = at::linspace(-6, 6, 40).view({10, 4});
  const at::Tensor labels = logits.sin().gt(0).to(at::kFloat);
  TrainOptions options;
  at::Tensor bce_labels = labels.clone();
  const float bce = TrainingLoss(options, logits, bce_labels, {}).item<float>();
  // To the bit what PyTorch computes on smoothed labels.
  EXPECT_EQ(bce,
            at::binary_cross_entropy_with_logits(logits, labels / 1.002 + 0.001)
                .item<float>());
  options.loss = LossKind::kFocal;
  options.focal_gamma = 0;
  at::Tensor focal_labels = labels.clone();
  EXPECT_NEAR(TrainingLoss(options, logits, focal_labels, {}).item<float>(),
              bce, 1e-6);
  options.loss = LossKind::kAsymmetric;
  options.asymmetric_gamma_neg = 0;
  options.asymmetric_margin = 0;
  at::Tensor asymmetric_labels = labels.clone();
  EXPECT_NEAR(
      TrainingLoss(options, logits, asymmetric_labels, {}).item<float>(), bce,
      1e-6);
}

}  // namespace
}  // namespace foldfarm
