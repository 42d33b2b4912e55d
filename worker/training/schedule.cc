#include "worker/training/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "common/base/warm_restarts.h"

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
  const RestartPeriod period = PeriodOf(epoch, options.period, options.mult);
  return options.floor +
         (1 - options.floor) *
             HalfCosine(static_cast<double>(epoch - period.begin) /
                        period.epochs);
}

// Up from `start` to 1 in the share `rise` of all epochs, then down to `floor`.
double OneCycle(const ScheduleOptions& options, double share) {
  if (share < options.rise) {
    return 1 - (1 - options.start) * HalfCosine(share / options.rise);
  }
  const double fall = std::max(1 - options.rise, 1e-9);
  return options.floor +
         (1 - options.floor) * HalfCosine((share - options.rise) / fall);
}

double Steps(const ScheduleOptions& options, int epoch) {
  const auto passed =
      std::count_if(options.milestones.begin(), options.milestones.end(),
                    [&](int milestone) { return milestone <= epoch; });
  return std::pow(options.gamma, static_cast<double>(passed));
}

}  // namespace

double LearningRateFactor(const ScheduleOptions& options, int epochs,
                          double position) {
  switch (options.kind) {
    case ScheduleKind::kConstant:
      return 1;
    case ScheduleKind::kCosineWarmRestarts:
      return WarmRestarts(options, static_cast<int>(position));
    case ScheduleKind::kOneCycle:
      return OneCycle(options, position / epochs);
    case ScheduleKind::kSteps:
      return Steps(options, static_cast<int>(position));
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

bool EntersWeightAverage(const TrainOptions& options, int epoch, int* before,
                         int earlier) {
  if (options.swa_start <= 0) return false;
  // The product of a share that is not exact may be a little too large.
  const double start = options.swa_start * options.epochs - 1e-9;
  const int first = std::max(earlier + 1, static_cast<int>(std::ceil(start)));
  if (epoch < first || (epoch - first) % options.swa_every != 0) return false;
  *before = (epoch - first) / options.swa_every;
  return true;
}

}  // namespace foldfarm
