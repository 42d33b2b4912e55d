// 95 % intervals: the spread of a figure when samples are drawn with
// replacement.
//
// The draws are the same on every machine and in every run: of n samples they
// are numpy's RandomState(kBootstrapSeed).randint(n, size=(kBootstrapDraws, n),
// dtype=numpy.uint32). All sets of predictions of the same samples share them,
// so the interval of a difference is a paired one.
//
// Thread-safe: pure functions, and a class that is constant once made.
#ifndef FOLDFARM_COMMON_ENSEMBLE_BOOTSTRAP_H_
#define FOLDFARM_COMMON_ENSEMBLE_BOOTSTRAP_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"
#include "common/ensemble/oof.h"
#include "common/ensemble/scores.h"

namespace foldfarm {

inline constexpr uint32_t kBootstrapSeed = 42;
inline constexpr size_t kBootstrapDraws = 1000;

class BootstrapDraws {
 public:
  // REQUIRES: samples > 0.
  explicit BootstrapDraws(size_t samples);

  size_t size() const { return kBootstrapDraws; }
  // How often each sample is in a draw, [samples]; sums to their number.
  absl::Span<const uint16_t> counts(size_t draw) const {
    return absl::MakeConstSpan(counts_).subspan(draw * samples_, samples_);
  }

 private:
  const size_t samples_;
  std::vector<uint16_t> counts_;  // [draws, samples].
};

// The 2.5th and 97.5th percentile, interpolated linearly between the two values
// beside them. NaN is a draw that has no figure: left out; unset when all are.
std::optional<Interval> IntervalOf(std::vector<double> values);

// A mean over cells that can be taken over any draw of samples.
class SampleSums {
 public:
  // `value(sample, cell)` is called for each cell of `probabilities` [samples,
  // labels] that is not NaN.
  SampleSums(const OofMatrix& oof, absl::Span<const double> probabilities,
             absl::FunctionRef<double(size_t sample, size_t cell)> value);

  // The mean a draw, [draws]; NaN where a draw has no cell.
  std::vector<double> Means(const BootstrapDraws& draws) const;

 private:
  std::vector<double> sum_;    // Over a sample's cells.
  std::vector<double> cells_;  // Of a sample.
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_BOOTSTRAP_H_
