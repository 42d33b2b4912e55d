#include "common/spectra/aspls.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>

#include "common/spectra/exp.h"

// One build serves every x86-64 machine: the loader picks the widest variant.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define FOLDFARM_SIMD_CLONES \
  __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FOLDFARM_SIMD_CLONES
#endif

// Before a loop over the lanes of a block: lanes are independent, and the loop
// is to become one vector operation, not to be unrolled before it can.
#if defined(__GNUC__) && !defined(__clang__)
#define FOLDFARM_LANES _Pragma("GCC ivdep") _Pragma("GCC unroll 1")
#else
#define FOLDFARM_LANES
#endif

namespace foldfarm {
namespace {

// A block is as wide as the widest vector. Several blocks in flight hide the
// latency of the recurrence along the rows.
constexpr int kBlock = 8;
constexpr int kBlocks = 4;
constexpr int kLanes = kBlock * kBlocks;
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

// The curves in flight, structure of arrays: value (row, lane) of a matrix is
// at [row * kLanes + lane]. Rows past the end of a lane's curve have y = 0,
// w = 1, a = 0, which makes z = 0 there and touches nothing else.
struct Workspace {
  explicit Workspace(int max_rows)
      : buffer(static_cast<double*>(::operator new[](
            sizeof(double) * kLanes * (size_t(max_rows) * 6 + kMargins),
            std::align_val_t{64}))) {
    const size_t size = size_t(max_rows) * kLanes;
    std::fill_n(buffer.get(), 6 * size + kMargins * kLanes, 0.0);
    double* next = buffer.get();
    const auto take = [&](double** out, int before, int after) {
      *out = next + before * kLanes;
      next += size + size_t(before + after) * kLanes;
    };
    take(&y, 0, 0);
    take(&w, 0, 0);
    take(&a, 0, 0);
    take(&upper1, 2, 0);
    take(&upper2, 2, 0);
    take(&z, 2, 2);
  }

  struct Free {
    void operator()(double* p) const {
      ::operator delete[](p, std::align_val_t{64});
    }
  };
  static constexpr int kMargins = 8;
  std::unique_ptr<double[], Free> buffer;
  double *y, *w, *a;
  // The factor's two diagonals above the unit one, and the solution. Two rows
  // of zeros before (and after z) start the recurrences.
  double *upper1, *upper2, *z;

  int rows = 0;    // The longest curve in flight.
  int blocks = 0;  // The first blocks are in use.
  alignas(64) double length[kLanes] = {};
};

// LU without pivoting, forward substitution along with it, then backward.
FOLDFARM_SIMD_CLONES
void Solve(Workspace& s, double lambda) {
  const double* __restrict y = s.y;
  const double* __restrict w = s.w;
  const double* __restrict a = s.a;
  double* __restrict upper1 = s.upper1;
  double* __restrict upper2 = s.upper2;
  double* __restrict z = s.z;
  const double* __restrict length = s.length;
  for (int i = 0; i < s.rows; ++i) {
    const double row = i;
    const double has1 = i >= 1 ? 1.0 : 0.0;
    const double has2 = i >= 2 ? 1.0 : 0.0;
    for (int b = 0; b < s.blocks; ++b) {
      // Rows i - 2, i - 1 and i lie kLanes apart, so lanes never overlap.
      const ptrdiff_t at = ptrdiff_t{i} * kLanes + b * kBlock;
      double* u1 = upper1 + at;
      double* u2 = upper2 + at;
      double* zz = z + at;
      const double* n = length + b * kBlock;
      FOLDFARM_LANES
      for (int l = 0; l < kBlock; ++l) {
        // Whether the second difference that starts at row - 2, row - 1, row
        // exists: D'D is their sum.
        const double d2 = row < n[l] ? has2 : 0.0;
        const double d1 = row + 1 < n[l] ? has1 : 0.0;
        const double d0 = row + 2 < n[l] ? 1.0 : 0.0;
        const double weight = w[at + l];
        const double scale = lambda * a[at + l];
        const double low2 = scale * d2;
        const double low1 = scale * (-2.0 * (d2 + d1));
        const double diagonal = weight + scale * (d2 + 4.0 * d1 + d0);
        const double high1 = scale * (-2.0 * (d1 + d0));
        const double high2 = scale * d0;
        const double low = low1 - low2 * u1[l - 2 * kLanes];
        const double pivot =
            diagonal - low2 * u2[l - 2 * kLanes] - low * u1[l - kLanes];
        const double inverse = 1.0 / pivot;
        u1[l] = (high1 - low * u2[l - kLanes]) * inverse;
        u2[l] = high2 * inverse;
        zz[l] = (weight * y[at + l] - low2 * zz[l - 2 * kLanes] -
                 low * zz[l - kLanes]) *
                inverse;
      }
    }
  }
  for (int i = s.rows - 1; i >= 0; --i) {
    for (int b = 0; b < s.blocks; ++b) {
      const ptrdiff_t at = ptrdiff_t{i} * kLanes + b * kBlock;
      double* zz = z + at;
      FOLDFARM_LANES
      for (int l = 0; l < kBlock; ++l) {
        zz[l] -= upper1[at + l] * zz[l + kLanes] +
                 upper2[at + l] * zz[l + 2 * kLanes];
      }
    }
  }
}

// What Reweigh sums up over a curve's rows, for each lane.
struct alignas(64) Sums {
  double count[kLanes] = {};
  double mean[kLanes] = {};       // Of the negative residuals; first their sum.
  double deviation[kLanes] = {};  // Theirs; first the sum of squares.
  double largest[kLanes] = {};    // |residual|
  double slope[kLanes] = {};
  double inverse_largest[kLanes] = {};
  double broken[kLanes] = {};  // NaN once a residual is not finite.
  double moved[kLanes] = {};   // |w' - w|^2
  double norm[kLanes] = {};    // |w|^2
};

// New w and a from the residuals, and how far w moved.
FOLDFARM_SIMD_CLONES
void Reweigh(Workspace& s, Sums& sums) {
  for (int i = 0; i < s.rows; ++i) {
    for (int first = 0; first < s.blocks * kBlock; first += kBlock) {
      const double* __restrict y = s.y + ptrdiff_t{i} * kLanes + first;
      const double* __restrict z = s.z + ptrdiff_t{i} * kLanes + first;
      double* __restrict count = sums.count + first;
      double* __restrict sum = sums.mean + first;
      double* __restrict largest = sums.largest + first;
      double* __restrict broken = sums.broken + first;
      FOLDFARM_LANES
      for (int l = 0; l < kBlock; ++l) {
        const double r = y[l] - z[l];
        const double size = std::fabs(r);
        count[l] += r < 0 ? 1.0 : 0.0;
        sum[l] += r < 0 ? r : 0.0;
        largest[l] = size > largest[l] ? size : largest[l];
        broken[l] += r - r;
      }
    }
  }
  for (int l = 0; l < kLanes; ++l) {
    sums.mean[l] /= sums.count[l] > 0 ? sums.count[l] : 1.0;
  }
  for (int i = 0; i < s.rows; ++i) {
    for (int first = 0; first < s.blocks * kBlock; first += kBlock) {
      const double* __restrict y = s.y + ptrdiff_t{i} * kLanes + first;
      const double* __restrict z = s.z + ptrdiff_t{i} * kLanes + first;
      const double* __restrict mean = sums.mean + first;
      double* __restrict squares = sums.deviation + first;
      FOLDFARM_LANES
      for (int l = 0; l < kBlock; ++l) {
        const double r = y[l] - z[l];
        const double square = (r - mean[l]) * (r - mean[l]);
        squares[l] += r < 0 ? square : 0.0;
      }
    }
  }
  for (int l = 0; l < kLanes; ++l) {
    const double variance =
        sums.count[l] > 1 ? sums.deviation[l] / (sums.count[l] - 1.0) : 0.0;
    sums.deviation[l] = variance > 0 ? std::sqrt(variance) : kEpsilon;
    sums.slope[l] = 0.5 / sums.deviation[l];
    // Infinite when all residuals are 0: the smoothness becomes NaN then and
    // the lane breaks down at the next solve.
    sums.inverse_largest[l] = 1.0 / sums.largest[l];
  }
  for (int i = 0; i < s.rows; ++i) {
    const double row = i;
    for (int first = 0; first < s.blocks * kBlock; first += kBlock) {
      const double* __restrict y = s.y + ptrdiff_t{i} * kLanes + first;
      const double* __restrict z = s.z + ptrdiff_t{i} * kLanes + first;
      double* __restrict w = s.w + ptrdiff_t{i} * kLanes + first;
      double* __restrict a = s.a + ptrdiff_t{i} * kLanes + first;
      const double* __restrict length = s.length + first;
      const double* __restrict deviation = sums.deviation + first;
      const double* __restrict slope = sums.slope + first;
      const double* __restrict inverse_largest = sums.inverse_largest + first;
      double* __restrict moved = sums.moved + first;
      double* __restrict norm = sums.norm + first;
      FOLDFARM_LANES
      for (int l = 0; l < kBlock; ++l) {
        const double r = y[l] - z[l];
        double x = slope[l] * (r - deviation[l]);
        x = x < 700.0 ? x : 700.0;
        x = x > -700.0 ? x : -700.0;
        const double weight = 1.0 / (1.0 + ExactExp(x));
        const double inside = row < length[l] ? 1.0 : 0.0;
        const double step = (weight - w[l]) * inside;
        moved[l] += step * step;
        norm[l] += w[l] * w[l] * inside;
        w[l] = row < length[l] ? weight : 1.0;
        a[l] = std::fabs(r) * inverse_largest[l];
      }
    }
  }
}

// Which curve a lane works on; -1: none.
struct Lane {
  int curve = -1;
  int solves = 0;
};

void Load(Workspace& s, int lane, absl::Span<const double> curve,
          int max_rows) {
  const int n = static_cast<int>(curve.size());
  for (int i = 0; i < max_rows; ++i) {
    const int at = i * kLanes + lane;
    s.y[at] = i < n ? curve[static_cast<size_t>(i)] : 0.0;
    s.w[at] = 1.0;
    s.a[at] = i < n ? 1.0 : 0.0;
    // What an earlier curve left here must not reach this one's last rows.
    s.upper1[at] = s.upper2[at] = s.z[at] = 0.0;
  }
  s.length[lane] = n;
}

void Move(Workspace& s, int from, int to, int max_rows) {
  for (int i = 0; i < max_rows; ++i) {
    for (double* matrix : {s.y, s.w, s.a, s.upper1, s.upper2, s.z}) {
      matrix[i * kLanes + to] = matrix[i * kLanes + from];
    }
  }
  s.length[to] = s.length[from];
}

}  // namespace

std::vector<Baseline> AsplsBaselines(
    absl::Span<const absl::Span<const double>> curves,
    const AsplsOptions& options) {
  std::vector<Baseline> results(curves.size());
  if (curves.empty()) return results;
  size_t longest = 0;
  for (const auto& curve : curves) longest = std::max(longest, curve.size());
  const int max_rows = static_cast<int>(longest);
  Workspace s(max_rows);
  s.rows = max_rows;
  s.blocks = kBlocks;
  Lane lanes[kLanes];
  int pending = 0;
  int active = 0;
  const auto fill = [&](int l) {
    if (pending < static_cast<int>(curves.size())) {
      Load(s, l, curves[static_cast<size_t>(pending)], max_rows);
      lanes[l] = {pending++, 0};
      ++active;
    } else {
      Load(s, l, {}, max_rows);
      lanes[l] = {};
    }
  };
  for (int l = 0; l < kLanes; ++l) fill(l);

  while (active > 0) {
    // Close ranks, so that no block works for nothing.
    const int needed = (active + kBlock - 1) / kBlock;
    if (needed < s.blocks) {
      int to = 0;
      for (int from = needed * kBlock; from < s.blocks * kBlock; ++from) {
        if (lanes[from].curve < 0) continue;
        while (lanes[to].curve >= 0) ++to;
        Move(s, from, to, max_rows);
        lanes[to] = lanes[from];
        lanes[from] = {};
      }
      s.blocks = needed;
    }
    Solve(s, options.lambda);
    Sums sums;
    Reweigh(s, sums);
    for (int l = 0; l < s.blocks * kBlock; ++l) {
      if (lanes[l].curve < 0) continue;
      ++lanes[l].solves;
      const bool finite = sums.broken[l] == 0.0;
      const double change = std::sqrt(sums.moved[l]) /
                            std::max(std::sqrt(sums.norm[l]), kEpsilon);
      if (finite && !(change < options.tolerance) &&
          lanes[l].solves < options.max_solves) {
        continue;
      }
      Baseline& result = results[static_cast<size_t>(lanes[l].curve)];
      const size_t n = curves[static_cast<size_t>(lanes[l].curve)].size();
      result.values.resize(n);
      for (size_t i = 0; i < n; ++i) {
        result.values[i] = s.z[i * kLanes + static_cast<size_t>(l)];
      }
      result.solves = lanes[l].solves;
      result.finite = finite;
      --active;
      fill(l);
    }
  }
  return results;
}

std::vector<double> ModPolyLine(absl::Span<const double> curve) {
  constexpr int kMaxFits = 250;
  constexpr double kTolerance = 1e-3;
  const size_t n = curve.size();
  std::vector<double> y(curve.begin(), curve.end());
  std::vector<double> x(n), line(n), before;
  double squares = 0;
  for (size_t i = 0; i < n; ++i) {
    x[i] = -1.0 + 2.0 * static_cast<double>(i) / static_cast<double>(n - 1);
    squares += x[i] * x[i];
  }
  const auto fit = [&] {
    double sum = 0;
    double moment = 0;
    for (size_t i = 0; i < n; ++i) {
      sum += y[i];
      moment += x[i] * y[i];
    }
    for (size_t i = 0; i < n; ++i) {
      line[i] = sum / static_cast<double>(n) + moment / squares * x[i];
    }
  };
  fit();
  for (int round = 0; round < kMaxFits; ++round) {
    before = line;
    for (size_t i = 0; i < n; ++i) y[i] = std::min(y[i], line[i]);
    fit();
    double moved = 0;
    double norm = 0;
    for (size_t i = 0; i < n; ++i) {
      moved += (line[i] - before[i]) * (line[i] - before[i]);
      norm += before[i] * before[i];
    }
    if (std::sqrt(moved) / std::max(std::sqrt(norm), kEpsilon) < kTolerance) {
      break;
    }
  }
  return line;
}

}  // namespace foldfarm
