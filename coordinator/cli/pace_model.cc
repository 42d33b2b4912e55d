#include "coordinator/cli/pace_model.h"

#include <algorithm>
#include <cmath>

#include "coordinator/cli/format.h"

namespace foldfarm {
namespace {

// Variance of the log of a job's pace: what differs from job to job, and from
// epoch to epoch.
constexpr double kJobVariance = 0.05 * 0.05;
constexpr double kEpochVariance = 0.15 * 0.15;
// Workers differ by so much, as a standard deviation of the log, before
// anything is known of them.
constexpr double kWorkerSpread = 0.4;
constexpr double kPriorStartup = 0.5;  // Seconds.
constexpr double kUsualWarmUp = 1.1;

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle]
                                : (values[middle - 1] + values[middle]) / 2;
}

double ValueOr(const std::map<std::string, double>& map, const std::string& key,
               double other) {
  const auto it = map.find(key);
  return it == map.end() ? other : it->second;
}

int CountOf(const std::map<std::string, int>& map, const std::string& key) {
  const auto it = map.find(key);
  return it == map.end() ? 0 : it->second;
}

// What the job's single attempt took from its lease to its result, in seconds;
// 0 when that is not known.
double WholeTime(const v1::Job& job) {
  if (job.state() != v1::Job::SUCCEEDED || !job.reused_from().empty() ||
      job.attempt_count() != 1 || job.epoch() + job.epochs() <= 0 ||
      !job.has_start_time() || !job.has_end_time()) {
    return 0;
  }
  return absl::ToDoubleSeconds(ToTime(job.end_time()) -
                               ToTime(job.start_time()));
}

}  // namespace

PaceModel::PaceModel(const EtaInput& input)
    : input_(input),
      history_(input.history == nullptr ? no_history_ : *input.history) {
  overhead_ = {kPriorStartup, input.prediction_epochs};
  FitWarmUp();
  FitPaces();
  FitOverhead();
}

void PaceModel::FitWarmUp() {
  std::vector<double> ratios;  // Their logs.
  for (const v1::Job& job : input_.jobs) {
    const SweepHistory::Pace pace = history_.PaceOf(job);
    if (pace.first_seconds <= 0 || pace.first_epochs > 0 || pace.epochs < 2) {
      continue;
    }
    ratios.push_back(
        std::clamp(std::log(pace.first_seconds / (pace.seconds / pace.epochs)),
                   std::log(0.5), std::log(20.0)));
  }
  // Few ratios are noise: what is usual counts as so many more.
  constexpr double kUsualWeight = 2;
  const auto count = static_cast<double>(ratios.size());
  warm_up_ = std::exp(
      (kUsualWeight * std::log(kUsualWarmUp) + count * Median(ratios)) /
      (kUsualWeight + count));
}

// Seconds an epoch of the job's own epochs, without warm-up, and how many they
// are; 0 when none was measured.
double PaceModel::OwnPace(const v1::Job& job, int* epochs) const {
  const SweepHistory::Pace pace = history_.PaceOf(job);
  *epochs = pace.epochs;
  if (pace.epochs > 0) {
    double seconds = pace.seconds;
    double count = pace.epochs + pace.first_epochs * (warm_up_ - 1);
    if (pace.first_epochs == 0 && pace.first_seconds > 0) {
      // Where there are few others, the first one says much.
      seconds += pace.first_seconds / warm_up_;
      count += 1;
      ++*epochs;
    }
    return seconds / count;
  }
  // A program that does not say what its epochs take is timed as a whole.
  const double whole = WholeTime(job);
  const int count = job.epoch() > 0 ? job.epoch() : job.epochs();
  if (whole <= 0 || count <= 0) return 0;
  *epochs = count;
  return whole / count;
}

void PaceModel::FitPaces() {
  std::vector<Measured> all;
  std::map<std::string, std::vector<double>> ends;
  std::vector<double> all_ends;
  for (const v1::Job& job : input_.jobs) {
    if (job.state() == v1::Job::SUCCEEDED && job.epochs() > 0 &&
        job.epoch() > 0) {
      ends[job.model()].push_back(
          std::min(1.0, static_cast<double>(job.epoch()) / job.epochs()));
      all_ends.push_back(ends[job.model()].back());
    }
    if (!job.reused_from().empty() || job.state() == v1::Job::PENDING) continue;
    int epochs = 0;
    const double pace = OwnPace(job, &epochs);
    if (pace <= 0) continue;
    epochs_seen_[job.model()] += epochs;
    if (WholeTime(job) > 0) ++jobs_done_[job.model()];
    all.push_back({job.model(), job.worker(), std::log(pace),
                   1 / (kJobVariance + kEpochVariance / epochs)});
  }
  for (const auto& [model, shares] : ends) {
    double sum = 0;
    for (const double share : shares) sum += share;
    model_end_[model] = sum / static_cast<double>(shares.size());
  }
  if (!all_ends.empty()) typical_end_ = Median(all_ends);

  // Weighted means in turns; workers are drawn towards the average one, so that
  // what only one worker ran counts as the model's cost.
  for (int round = 0; round < 30 && !all.empty(); ++round) {
    std::map<std::string, std::pair<double, double>> sums;
    for (const Measured& one : all) {
      auto& [sum, weight] = sums[one.model];
      sum +=
          one.weight * (one.log_seconds - ValueOr(worker_cost_, one.worker, 0));
      weight += one.weight;
    }
    for (const auto& [model, sum] : sums) {
      model_cost_[model] = sum.first / sum.second;
    }
    sums.clear();
    for (const Measured& one : all) {
      auto& [sum, weight] = sums[one.worker];
      sum += one.weight * (one.log_seconds - model_cost_[one.model]);
      weight += one.weight;
    }
    for (const auto& [worker, sum] : sums) {
      worker_cost_[worker] =
          sum.first / (sum.second + 1 / (kWorkerSpread * kWorkerSpread));
    }
  }
  std::vector<double> costs;
  for (const auto& [model, cost] : model_cost_) costs.push_back(cost);
  typical_cost_ = Median(costs);
}

double PaceModel::Seconds(const std::string& model,
                          const std::string& worker) const {
  return std::exp(ValueOr(model_cost_, model, typical_cost_) +
                  ValueOr(worker_cost_, worker, 0));
}

// Least squares of (startup + prediction x pace) over the jobs that are done,
// relative to each one's overhead, with the prior as one more observation of
// little weight.
void PaceModel::FitOverhead() {
  constexpr double kPriorWeight = 0.1;
  const double prior_scale = std::max(1.0, input_.prediction_epochs);
  double ss = kPriorWeight / (kPriorStartup * kPriorStartup);
  double sp = 0;
  double pp = kPriorWeight / (prior_scale * prior_scale);
  double s_rhs = ss * kPriorStartup;
  double p_rhs = pp * input_.prediction_epochs;
  std::map<std::string, std::vector<double>> by_model;
  for (const v1::Job& job : input_.jobs) {
    const double whole = WholeTime(job);
    int epochs = 0;
    const double pace = OwnPace(job, &epochs);
    if (whole <= 0 || pace <= 0 || history_.PaceOf(job).epochs == 0) continue;
    const int trained = job.epoch() - history_.EpochsBefore(job.name());
    const double overhead = std::max(0.0, whole - pace * trained);
    by_model[job.model()].push_back(overhead);
    const double scale = std::max({overhead, 0.1 * pace, 0.2});
    const double weight = 1 / (scale * scale);
    ss += weight;
    sp += weight * pace;
    pp += weight * pace * pace;
    s_rhs += weight * overhead;
    p_rhs += weight * overhead * pace;
  }
  const double determinant = ss * pp - sp * sp;
  overhead_.startup = (s_rhs * pp - p_rhs * sp) / determinant;
  overhead_.prediction = (p_rhs * ss - s_rhs * sp) / determinant;
  if (overhead_.startup < 0) {
    overhead_ = {0, p_rhs / pp};
  } else if (overhead_.prediction < 0) {
    overhead_ = {s_rhs / ss, 0};
  }
  for (const auto& [model, values] : by_model) {
    model_overhead_[model] = Median(values);
  }
}

double PaceModel::OverheadOf(const std::string& model, double seconds) const {
  return ValueOr(model_overhead_, model,
                 overhead_.startup + overhead_.prediction * seconds);
}

double PaceModel::EndEpoch(const v1::Job& job) const {
  const double goal =
      job.epochs() * ValueOr(model_end_, job.model(), typical_end_);
  // One that already went beyond may go on for some of what is left.
  return std::max(goal, job.epoch() + 0.1 * (job.epochs() - job.epoch()));
}

double PaceModel::Total(const v1::Job& job, const std::string& worker) const {
  const double seconds = Seconds(job.model(), worker);
  return (EndEpoch(job) - job.epoch()) * seconds +
         OverheadOf(job.model(), seconds);
}

double PaceModel::Remaining(const v1::Job& job) const {
  // What this job showed itself counts the more, the more epochs that were.
  constexpr double kEpochsOfTrust = 2;
  double seconds = Seconds(job.model(), job.worker());
  int epochs = 0;
  const double own = OwnPace(job, &epochs);
  if (own > 0) {
    seconds =
        (own * epochs + seconds * kEpochsOfTrust) / (epochs + kEpochsOfTrust);
  }
  const double elapsed = std::max(
      0.0, absl::ToDoubleSeconds(input_.now - ToTime(job.start_time())));
  const double overhead = OverheadOf(job.model(), seconds);
  const double startup = std::min(overhead_.startup, overhead);
  const double prediction = overhead - startup;
  const double left = std::max(0.0, EndEpoch(job) - job.epoch());
  const bool predicts = left < 0.5;
  const double phase = predicts ? prediction : seconds;
  // How far the epoch, or the prediction, is that goes on now.
  double into = 0.5 * phase;
  const absl::Time last = history_.LastEpochTime(job.name());
  if (last != absl::InfinitePast()) {
    into = absl::ToDoubleSeconds(input_.now - last);
  } else if (job.attempt_count() <= 1 && job.has_start_time()) {
    into = elapsed - startup;
    const int trained = job.epoch() - history_.EpochsBefore(job.name());
    if (trained > 0) into -= trained * job.seconds_per_epoch();
  }
  into = std::clamp(into, 0.0, phase);
  if (predicts) return std::max(prediction - into, 0.1 * prediction);
  return left * seconds - into + prediction;
}

double PaceModel::Doubt(const v1::Job& job) const {
  if (CountOf(jobs_done_, job.model()) > 0) return 0.08;
  const int epochs = CountOf(epochs_seen_, job.model());
  if (epochs >= 10) return 0.1;
  if (epochs >= 3) return 0.13;
  return epochs > 0 ? 0.25 : 0.6;
}

}  // namespace foldfarm
