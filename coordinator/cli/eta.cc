#include "coordinator/cli/eta.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <vector>

#include "coordinator/cli/format.h"

namespace foldfarm {
namespace {

struct Mean {
  double sum = 0;
  int count = 0;
  void Add(double value) {
    sum += value;
    ++count;
  }
  double value() const { return count == 0 ? 0 : sum / count; }
};

// What an epoch of the job took on average, or 0. A finished job that does not
// say is taken from start to end, if it ran through in one attempt.
double SecondsPerEpoch(const v1::Job& job) {
  if (job.seconds_per_epoch() > 0) return job.seconds_per_epoch();
  if (job.state() != v1::Job::SUCCEEDED || !job.reused_from().empty() ||
      job.attempt_count() != 1 || job.epochs() <= 0) {
    return 0;
  }
  return absl::ToDoubleSeconds(ToTime(job.end_time()) -
                               ToTime(job.start_time())) /
         job.epochs();
}

bool IsOpen(const v1::Job& job) {
  return job.state() == v1::Job::RUNNING || job.state() == v1::Job::PENDING;
}

}  // namespace

Estimate EstimateRemaining(absl::Span<const v1::Job> jobs) {
  std::map<std::string, Mean> by_model;
  Mean all;
  for (const v1::Job& job : jobs) {
    const double seconds = SecondsPerEpoch(job);
    if (seconds <= 0) continue;
    by_model[job.model()].Add(seconds);
    all.Add(seconds);
  }
  const auto remaining = [&](const v1::Job& job) {
    double seconds = job.state() == v1::Job::RUNNING ? SecondsPerEpoch(job) : 0;
    if (seconds <= 0) seconds = by_model[job.model()].value();
    if (seconds <= 0) seconds = all.value();
    return seconds * std::max(0, job.epochs() - job.epoch());
  };

  Estimate estimate;
  if (std::none_of(jobs.begin(), jobs.end(), IsOpen)) {
    estimate.sweep = absl::ZeroDuration();
    return estimate;
  }
  if (all.count == 0) return estimate;
  // When each lane is free, the earliest on top.
  std::priority_queue<double, std::vector<double>, std::greater<double>> lanes;
  double last = 0;
  for (const v1::Job& job : jobs) {
    if (job.state() != v1::Job::RUNNING) continue;
    const double end = remaining(job);
    estimate.jobs[job.name()] = absl::Seconds(end);
    lanes.push(end);
    last = std::max(last, end);
  }
  if (lanes.empty()) return estimate;
  for (const v1::Job& job : jobs) {
    if (job.state() != v1::Job::PENDING) continue;
    const double end = lanes.top() + remaining(job);
    lanes.pop();
    lanes.push(end);
    last = std::max(last, end);
  }
  estimate.sweep = absl::Seconds(last);
  return estimate;
}

}  // namespace foldfarm
