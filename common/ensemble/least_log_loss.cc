#include "common/ensemble/least_log_loss.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

#include "absl/types/span.h"
#include "common/ensemble/scores.h"

namespace foldfarm {
namespace {

constexpr int kMostIterations = 200;
constexpr int kMostHalvings = 40;
// A weight below it counts as zero where the gradient holds it there.
constexpr double kZeroWeight = 1e-12;

// What the models say of the truth: the probability of what is the case. A soft
// truth is two observations, of weight y and 1 - y.
struct Likelihoods {
  explicit Likelihoods(const OofMatrix& oof) : by_model(oof.models.size()) {
    const std::vector<double> mean = MeanOfModels(oof);
    for (size_t i = 0; i < mean.size(); ++i) {
      if (std::isnan(mean[i])) continue;
      const size_t label = i % oof.num_labels();
      for (const bool present : {true, false}) {
        const double share = present ? oof.truth[i] : 1.0 - oof.truth[i];
        if (share == 0.0) continue;
        weight.push_back(share);
        for (size_t m = 0; m < oof.models.size(); ++m) {
          const OofModel& model = oof.models[m];
          const double p =
              Shrink(model.Predicts(label) ? model.probabilities[i] : mean[i],
                     kShrinkCommercial);
          by_model[m].push_back(present ? p : 1.0 - p);
        }
      }
    }
    const double all = std::accumulate(weight.begin(), weight.end(), 0.0);
    for (double& share : weight) share /= all;
  }

  size_t models() const { return by_model.size(); }

  std::vector<double> Mixed(const std::vector<double>& weights) const {
    std::vector<double> mixed(weight.size(), 0.0);
    for (size_t m = 0; m < weights.size(); ++m) {
      if (weights[m] == 0.0) continue;
      for (size_t i = 0; i < mixed.size(); ++i) {
        mixed[i] += weights[m] * by_model[m][i];
      }
    }
    return mixed;
  }

  // The log loss plus the sum of the weights.
  double Objective(const std::vector<double>& weights) const {
    const std::vector<double> mixed = Mixed(weights);
    double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (size_t i = 0; i < mixed.size(); ++i) {
      sum -= weight[i] * std::log(mixed[i]);
    }
    return sum;
  }

  std::vector<std::vector<double>> by_model;
  std::vector<double> weight;  // Of an observation; sum 1.
};

double Dot(absl::Span<const double> a, absl::Span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// Solves (A + ridge * I) x = b by Cholesky's decomposition; the ridge grows
// until A, row-major [n, n] and positive semidefinite, is definite.
std::vector<double> Solve(const std::vector<double>& a,
                          const std::vector<double>& b) {
  const size_t n = b.size();
  double trace = 0;
  for (size_t i = 0; i < n; ++i) trace += a[i * n + i];
  for (double ridge = 1e-13 * trace;; ridge *= 10) {
    std::vector<double> l = a;
    bool definite = true;
    for (size_t j = 0; j < n && definite; ++j) {
      double* const row = &l[j * n];
      const double pivot = row[j] + ridge - Dot({row, j}, {row, j});
      // A pivot of roundings alone would send the step anywhere.
      definite = pivot > 0.1 * ridge;
      if (!definite) break;
      row[j] = std::sqrt(pivot);
      for (size_t i = j + 1; i < n; ++i) {
        double* const below = &l[i * n];
        below[j] = (below[j] - Dot({below, j}, {row, j})) / row[j];
      }
    }
    if (!definite) continue;
    std::vector<double> x = b;
    for (size_t i = 0; i < n; ++i) {
      x[i] = (x[i] - Dot({&l[i * n], i}, {x.data(), i})) / l[i * n + i];
    }
    for (size_t i = n; i-- > 0;) {
      for (size_t k = i + 1; k < n; ++k) x[i] -= l[k * n + i] * x[k];
      x[i] /= l[i * n + i];
    }
    return x;
  }
}

void Normalize(std::vector<double>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= sum;
}

// The weights after a projected Newton step; those of a step of the EM
// algorithm, which always lowers the objective, where Newton's does not.
std::vector<double> Step(const Likelihoods& likelihoods,
                         const std::vector<double>& weights,
                         const std::vector<double>& mixed,
                         const std::vector<double>& ratio) {
  std::vector<size_t> free;
  std::vector<double> gradient;
  for (size_t m = 0; m < weights.size(); ++m) {
    if (weights[m] <= kZeroWeight && ratio[m] < 1.0) continue;
    free.push_back(m);
    gradient.push_back(1.0 - ratio[m]);
  }
  std::vector<std::vector<double>> scaled;
  for (const size_t m : free) {
    std::vector<double>& column = scaled.emplace_back(mixed.size());
    for (size_t i = 0; i < mixed.size(); ++i) {
      column[i] = std::sqrt(likelihoods.weight[i]) *
                  likelihoods.by_model[m][i] / mixed[i];
    }
  }
  const size_t n = free.size();
  std::vector<double> hessian(n * n);
  for (size_t a = 0; a < n; ++a) {
    for (size_t b = 0; b <= a; ++b) {
      hessian[a * n + b] = hessian[b * n + a] = Dot(scaled[a], scaled[b]);
    }
  }
  const std::vector<double> direction = Solve(hessian, gradient);
  const double before = likelihoods.Objective(weights);
  double size = 1.0;
  for (int halving = 0; halving < kMostHalvings; ++halving, size /= 2) {
    std::vector<double> next = weights;
    double promised = 0;  // To first order.
    for (size_t a = 0; a < n; ++a) {
      double& weight = next[free[a]];
      const double from = weight;
      weight = std::max(0.0, weight - size * direction[a]);
      promised += gradient[a] * (from - weight);
    }
    const double after = likelihoods.Objective(next);
    if (after < before && after <= before - 1e-4 * promised) return next;
  }
  std::vector<double> next = weights;
  for (size_t m = 0; m < next.size(); ++m) next[m] *= ratio[m];
  return next;
}

}  // namespace

LeastLogLoss MinimizeLogLoss(const OofMatrix& oof) {
  const Likelihoods likelihoods(oof);
  const size_t models = likelihoods.models();
  LeastLogLoss best;
  best.weights.assign(models, 1.0 / static_cast<double>(models));
  std::vector<double> weights = best.weights;
  for (int iteration = 0;; ++iteration) {
    // Minus the gradient of the log loss; their weighted mean is 1, and by
    // convexity the largest says how much there is to gain.
    const std::vector<double> mixed = likelihoods.Mixed(weights);
    std::vector<double> ratio(models, 0.0);
    for (size_t m = 0; m < models; ++m) {
      for (size_t i = 0; i < mixed.size(); ++i) {
        ratio[m] +=
            likelihoods.weight[i] * likelihoods.by_model[m][i] / mixed[i];
      }
    }
    const double gap =
        std::max(0.0, *std::max_element(ratio.begin(), ratio.end()) - 1.0);
    if (iteration == 0 || gap < best.gap) best = {weights, gap};
    if (best.gap <= kLeastLogLossGap || iteration == kMostIterations) {
      return best;
    }
    weights = Step(likelihoods, weights, mixed, ratio);
    Normalize(weights);
  }
}

}  // namespace foldfarm
