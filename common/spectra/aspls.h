// Baselines by asPLS, adaptive smoothness penalized least squares.
//
// Solves (diag(w) + lambda diag(a) D'D) z = w y again and again; after each
// solve the weights w fall where the curve lies above z and the smoothness a
// grows with |y - z|. D takes second differences, so the matrix has five
// diagonals. Many curves are solved side by side, a vector lane each; a lane
// whose curve has converged takes the next one.
//
// Uses only IEEE additions, multiplications and divisions in a fixed order: a
// curve's baseline is the same bit for bit on every x86-64 machine and whatever
// curves lie beside it. Thread-safe.
//
// Source: Zhang et al., Baseline correction for infrared spectra using adaptive
// smoothness parameter penalized least squares method, Spectroscopy Letters
// 53(3), 2020; details of the iteration as in pybaselines 0.8.
#ifndef FOLDFARM_COMMON_SPECTRA_ASPLS_H_
#define FOLDFARM_COMMON_SPECTRA_ASPLS_H_

#include <vector>

#include "absl/types/span.h"

namespace foldfarm {

struct AsplsOptions {
  double lambda = 2e6;
  // Stops when the weights' relative change falls below this.
  double tolerance = 1e-3;
  int max_solves = 101;
};

struct Baseline {
  // As long as the curve; not finite where the iteration broke down (a curve
  // that is constant does that).
  std::vector<double> values;
  int solves = 0;
  bool finite = true;
};

// One baseline a curve, in order. REQUIRES: every curve has at least 4 values.
std::vector<Baseline> AsplsBaselines(
    absl::Span<const absl::Span<const double>> curves,
    const AsplsOptions& options = {});

// A straight line under the curve: least squares on the curve clipped to the
// line before, until it moves by less than 1e-3 (ModPoly, degree 1).
// REQUIRES: at least 2 values.
std::vector<double> ModPolyLine(absl::Span<const double> curve);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_ASPLS_H_
