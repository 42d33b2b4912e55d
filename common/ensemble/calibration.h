// Calibration: do labels predicted with probability p occur in a share p of the
// samples?
//
// Pure functions over flat arrays, as in scores.h: a probability of NaN is one
// that nobody gave, and its cell is left out.
#ifndef FOLDFARM_COMMON_ENSEMBLE_CALIBRATION_H_
#define FOLDFARM_COMMON_ENSEMBLE_CALIBRATION_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace foldfarm {

// The predictions whose probabilities lie in [low, high); the last bin takes 1
// as well.
struct CalibrationBin {
  double low = 0;
  double high = 0;
  int count = 0;
  // What was predicted on average, and the share that came true; 0 when the bin
  // is empty.
  double mean_probability = 0;
  double observed = 0;
  // 95 % interval of `observed` (Wilson 1927), [0, 1] when the bin is empty.
  double observed_low = 0;
  double observed_high = 1;
};

struct Calibration {
  // Of equal width, from 0 to 1; empty ones too.
  std::vector<CalibrationBin> bins;
  int count = 0;
  // Over all predictions; 0 when there are none.
  double mean_probability = 0;
  double observed = 0;
  // Mean over predictions of |observed - mean_probability| of their bins
  // (Naeini, Cooper, Hauskrecht 2015); NaN when there are none.
  double expected_calibration_error = 0;
};

// REQUIRES: spans of equal length; truth and probabilities in [0, 1] or NaN; at
// least one bin.
Calibration Calibrate(absl::Span<const double> truth,
                      absl::Span<const double> probabilities, int bins = 10);

// A column of a row-major [rows, columns] array.
// REQUIRES: the array's size is a multiple of `columns`.
std::vector<double> ColumnOf(absl::Span<const double> values, size_t columns,
                             size_t column);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_CALIBRATION_H_
