#include "coordinator/cli/sweep_history.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace foldfarm {
namespace {

// Epochs that a pace is taken from: enough to average noise and epochs with
// and without validation, few enough to notice that a machine became busy.
constexpr int kPaceEpochs = 32;

double ValueOr(const v1::EpochMetrics& epoch, const char* name, double other) {
  const auto it = epoch.values().find(name);
  return it == epoch.values().end() ? other : it->second;
}

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

}  // namespace

void SweepHistory::Observe(const v1::Job& job, absl::Time now) {
  // Epochs of another job, which this one extends or has its result from.
  if (job.attempt_count() == 0) return;
  Track& track = tracks_[job.name()];
  if (job.attempt_count() != track.attempt) {
    // A new attempt goes on after its last checkpoint.
    const bool fresh = job.seconds_per_epoch() <= 0;
    track.resumed = fresh ? job.epoch() : job.attempt_count() <= 1 ? 0 : -1;
    track.attempt = job.attempt_count();
    track.epoch = std::max(0, track.resumed);
    track.mean = 0;
    track.last_epoch_time = absl::InfinitePast();
  }
  const int former = track.epoch;
  const double former_mean = track.mean;
  track.epoch = job.epoch();
  track.mean = job.seconds_per_epoch();
  if (job.epoch() <= former) return;
  // The first figure of a job that has run for a while is no news.
  if (former_mean > 0 || job.epoch() == former + 1) track.last_epoch_time = now;

  if (!track.points.empty() && job.epoch() <= track.points.back().epoch) {
    return;  // Trained again after a checkpoint; its figures are there.
  }
  Point point;
  point.epoch = job.epoch();
  // A finished job's log loss is that of its averaged draws.
  point.log_loss = job.state() == v1::Job::RUNNING && job.has_log_loss()
                       ? job.log_loss()
                       : kNone;
  point.epochs = job.epoch() - former;
  if (track.resumed >= 0) {
    point.seconds = track.mean * (job.epoch() - track.resumed) -
                    former_mean * (former - track.resumed);
    point.has_first = former == track.resumed;
  } else {
    point.seconds = track.mean * point.epochs;
  }
  point.seconds = std::max(0.0, point.seconds);
  track.points.push_back(point);
}

void SweepHistory::Add(const std::string& job,
                       const v1::GetMetricsResponse& metrics) {
  std::vector<Point> points;
  int64_t token = 0;
  for (const v1::EpochMetrics& epoch : metrics.epochs()) {
    Point point;
    point.epoch = epoch.epoch();
    point.log_loss = ValueOr(epoch, "log_loss", kNone);
    point.seconds = ValueOr(epoch, "seconds", 0);
    point.has_first = epoch.token() != token;
    token = epoch.token();
    points.push_back(point);
  }
  if (points.empty()) return;
  std::vector<Point>& own = tracks_[job].points;
  for (const Point& point : own) {
    if (point.epoch > points.back().epoch) points.push_back(point);
  }
  own = std::move(points);
}

std::vector<double> SweepHistory::Curve(const std::string& job) const {
  std::vector<double> curve;
  const auto it = tracks_.find(job);
  if (it == tracks_.end()) return curve;
  for (const Point& point : it->second.points) {
    if (!std::isnan(point.log_loss)) curve.push_back(point.log_loss);
  }
  return curve;
}

SweepHistory::Pace SweepHistory::PaceOf(const v1::Job& job) const {
  Pace pace;
  if (const auto it = tracks_.find(job.name()); it != tracks_.end()) {
    const std::vector<Point>& points = it->second.points;
    for (size_t i = points.size(); i-- > 0;) {
      const Point& point = points[i];
      if (point.seconds <= 0) continue;
      if (point.has_first && point.epochs == 1) {
        pace.first_seconds = point.seconds;
        if (pace.epochs > 0) continue;  // The others say more.
      }
      if (pace.epochs >= kPaceEpochs) continue;
      pace.seconds += point.seconds;
      pace.epochs += point.epochs;
      pace.first_epochs += point.has_first ? 1 : 0;
    }
  }
  if (pace.epochs == 0 && job.seconds_per_epoch() > 0) {
    pace.epochs = std::max(1, job.epoch());
    pace.seconds = job.seconds_per_epoch() * pace.epochs;
    pace.first_epochs = 1;
  }
  return pace;
}

int SweepHistory::EpochsBefore(const std::string& job) const {
  const auto it = tracks_.find(job);
  if (it == tracks_.end() || it->second.points.empty()) return 0;
  const Point& first = it->second.points.front();
  return std::max(0, first.epoch - first.epochs);
}

absl::Time SweepHistory::LastEpochTime(const std::string& job) const {
  const auto it = tracks_.find(job);
  return it == tracks_.end() ? absl::InfinitePast()
                             : it->second.last_epoch_time;
}

}  // namespace foldfarm
