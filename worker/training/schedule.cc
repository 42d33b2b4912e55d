#include "worker/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace foldfarm {
namespace {

// The first epoch of warm restarts, before the moments mean anything.
constexpr double kFirstEpochFactor = 0.01;

// 1 at 0, 0 at 1.
double HalfCosine(double share) {
  return (1 + std::cos(std::numbers::pi * share)) / 2;
}

double WarmRestarts(const ScheduleOptions& options, int epoch) {
  if (epoch == 0) return kFirstEpochFactor;
  int period = options.period;
  while (epoch >= period) {
    epoch -= period;
    period = static_cast<int>(period * options.mult);
  }
  return options.floor +
         (1 - options.floor) * HalfCosine(static_cast<double>(epoch) / period);
}

}  // namespace

double LearningRateFactor(const ScheduleOptions& options, int epochs,
                          double position) {
  switch (options.kind) {
    case ScheduleKind::kConstant:
      return 1;
    case ScheduleKind::kCosineWarmRestarts:
      return WarmRestarts(options, static_cast<int>(position));
    case ScheduleKind::kCosine:
      break;
  }
  const double factor =
      position < options.warmup
          ? position / options.warmup
          : HalfCosine((position - options.warmup) /
                       std::max(epochs - options.warmup, 1e-9));
  return std::max(factor, options.floor);
}

}  // namespace foldfarm
