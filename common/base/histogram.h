// How often a measured value fell where: what /metrics shows of durations and
// sizes.
//
// Thread-safe and without locks: an observation is three relaxed additions, so
// it may sit in the hottest path. A reader may see one observation counted and
// not yet summed; that is as exact as monitoring needs.
#ifndef FOLDFARM_COMMON_BASE_HISTOGRAM_H_
#define FOLDFARM_COMMON_BASE_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace foldfarm {

class Histogram {
 public:
  static constexpr size_t kMaxBounds = 16;

  // `bounds`: inclusive upper ends of the buckets, growing, at most kMaxBounds;
  // must outlive this. One more bucket takes the rest.
  explicit Histogram(absl::Span<const double> bounds)
      : bounds_(bounds.subspan(0, std::min(bounds.size(), kMaxBounds))) {}

  void Observe(double value) {
    const size_t bucket = static_cast<size_t>(
        std::lower_bound(bounds_.begin(), bounds_.end(), value) -
        bounds_.begin());
    counts_[bucket].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(value, std::memory_order_relaxed);
  }

  struct Reading {
    // Observations up to each bound, and, last, all of them.
    std::vector<int64_t> cumulative;
    double sum = 0;
    int64_t count() const { return cumulative.back(); }
  };
  Reading Read() const {
    Reading reading;
    int64_t total = 0;
    for (size_t i = 0; i <= bounds_.size(); ++i) {
      total += counts_[i].load(std::memory_order_relaxed);
      reading.cumulative.push_back(total);
    }
    reading.sum = sum_.load(std::memory_order_relaxed);
    return reading;
  }

  absl::Span<const double> bounds() const { return bounds_; }

 private:
  const absl::Span<const double> bounds_;
  std::array<std::atomic<int64_t>, kMaxBounds + 1> counts_ = {};
  std::atomic<double> sum_ = 0;
};

// From half a millisecond to a minute, in seconds: calls, and the disk.
inline constexpr std::array<double, 16> kSecondsBounds = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25,   0.5,   1,      2.5,   5,    10,    30,   60};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_BASE_HISTOGRAM_H_
