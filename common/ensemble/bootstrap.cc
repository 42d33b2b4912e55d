#include "common/ensemble/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace foldfarm {
namespace {

// numpy's RandomState.randint below n, for 32 bits: masked rejection.
class BelowN {
 public:
  explicit BelowN(uint32_t n) : largest_(n - 1), mask_(n - 1) {
    for (int shift = 1; shift < 32; shift *= 2) mask_ |= mask_ >> shift;
  }
  uint32_t Draw(std::mt19937& random) const {
    if (largest_ == 0) return 0;
    while (true) {
      const auto value = static_cast<uint32_t>(random()) & mask_;
      if (value <= largest_) return value;
    }
  }

 private:
  const uint32_t largest_;
  uint32_t mask_;
};

double Percentile(const std::vector<double>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] +
         (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace

BootstrapDraws::BootstrapDraws(size_t samples)
    : samples_(samples), counts_(kBootstrapDraws * samples, 0) {
  std::mt19937 random(kBootstrapSeed);
  const BelowN below(static_cast<uint32_t>(samples));
  for (size_t draw = 0; draw < kBootstrapDraws; ++draw) {
    for (size_t i = 0; i < samples; ++i) {
      ++counts_[draw * samples + below.Draw(random)];
    }
  }
}

std::optional<Interval> IntervalOf(std::vector<double> values) {
  values.erase(std::remove_if(values.begin(), values.end(),
                              [](double value) { return std::isnan(value); }),
               values.end());
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  return Interval{Percentile(values, 0.025), Percentile(values, 0.975)};
}

SampleSums::SampleSums(
    const OofMatrix& oof, absl::Span<const double> probabilities,
    absl::FunctionRef<double(size_t sample, size_t cell)> value) {
  const size_t labels = oof.num_labels();
  sum_.resize(oof.num_samples(), 0.0);
  cells_.resize(oof.num_samples(), 0.0);
  for (size_t cell = 0; cell < probabilities.size(); ++cell) {
    if (std::isnan(probabilities[cell])) continue;
    const size_t sample = cell / labels;
    sum_[sample] += value(sample, cell);
    ++cells_[sample];
  }
}

std::vector<double> SampleSums::Means(const BootstrapDraws& draws) const {
  std::vector<double> means;
  means.reserve(draws.size());
  for (size_t draw = 0; draw < draws.size(); ++draw) {
    const absl::Span<const uint16_t> counts = draws.counts(draw);
    double sum = 0, cells = 0;
    for (size_t i = 0; i < sum_.size(); ++i) {
      sum += counts[i] * sum_[i];
      cells += counts[i] * cells_[i];
    }
    means.push_back(sum / cells);  // 0 / 0 is NaN.
  }
  return means;
}

}  // namespace foldfarm
