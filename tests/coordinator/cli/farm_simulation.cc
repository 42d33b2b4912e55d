#include "tests/coordinator/cli/farm_simulation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "common/base/proto_time.h"

namespace foldfarm {
namespace {

// Multiplies by exp(noise x a standard normal draw), by Box and Muller.
double Scatter(std::mt19937& rng, double noise) {
  const auto uniform = [&] {
    return (static_cast<double>(rng()) + 0.5) / 4294967296.0;
  };
  const double radius = std::sqrt(-2 * std::log(uniform()));
  return std::exp(noise * radius * std::cos(2 * M_PI * uniform()));
}

}  // namespace

FarmSimulation::FarmSimulation(const SimulationOptions& options)
    : options_(options) {
  const int models = static_cast<int>(options.models.size());
  const int outer = options.fold_major ? options.folds : models;
  const int inner = options.fold_major ? models : options.folds;
  for (int i = 0; i < outer; ++i) {
    for (int k = 0; k < inner; ++k) {
      SimulatedJob job;
      job.model = options.fold_major ? k : i;
      job.fold = options.fold_major ? i : k;
      jobs_.push_back(job);
    }
  }
  std::mt19937 rng(options.seed);
  std::vector<std::pair<double, int>> slots;  // When free, and whose.
  for (size_t w = 0; w < options.workers.size(); ++w) {
    for (int s = 0; s < options.workers[w].slots; ++s) {
      slots.emplace_back(0.0, static_cast<int>(w));
    }
  }
  std::map<int, double> first;  // By model.
  for (SimulatedJob& job : jobs_) {
    const auto slot = std::min_element(slots.begin(), slots.end());
    job.worker = slot->second;
    job.start = slot->first;
    const SimulatedModel& model = options.models[job.model];
    const double seconds = model.epoch_seconds *
                           options.workers[job.worker].slowness *
                           Scatter(rng, options.job_noise);
    double time = job.start + options.startup_seconds;
    for (int epoch = 1; epoch <= model.epochs; ++epoch) {
      time += seconds * Scatter(rng, options.epoch_noise) *
              (epoch == 1 ? options.warm_up : 1);
      job.epoch_ends.push_back(time);
    }
    job.end = time + options.prediction_epochs * seconds;
    slot->first = job.end;
    end_ = std::max(end_, job.end);
    const auto it = first.emplace(job.model, job.epoch_ends[0]).first;
    it->second = std::min(it->second, job.epoch_ends[0]);
  }
  for (const auto& [model, time] : first) {
    first_epochs_ = std::max(first_epochs_, time);
  }
}

v1::Job FarmSimulation::View(const SimulatedJob& job, double seconds) const {
  const SimulatedModel& model = options_.models[job.model];
  v1::Job view;
  view.set_name(absl::StrCat("s1/", model.name, "/", job.fold));
  view.set_model(model.name);
  view.set_fold(job.fold);
  view.set_epochs(model.epochs);
  view.set_slots(1);
  view.set_state(v1::Job::PENDING);
  if (seconds < job.start) return view;
  view.set_state(v1::Job::RUNNING);
  view.set_attempt_count(1);
  view.set_worker(options_.workers[job.worker].name);
  SetTime(TimeAt(job.start), view.mutable_start_time());
  const int done = static_cast<int>(
      std::upper_bound(job.epoch_ends.begin(), job.epoch_ends.end(), seconds) -
      job.epoch_ends.begin());
  view.set_epoch(done);
  if (done > 0) {
    const double first = job.start + options_.startup_seconds;
    view.set_seconds_per_epoch((job.epoch_ends[done - 1] - first) / done);
    view.set_log_loss(0.2 + 0.4 / done);
  }
  if (seconds >= job.end) {
    view.set_state(v1::Job::SUCCEEDED);
    SetTime(TimeAt(job.end), view.mutable_end_time());
  }
  return view;
}

std::vector<v1::Job> FarmSimulation::JobsAt(double seconds) const {
  std::vector<v1::Job> jobs;
  for (const SimulatedJob& job : jobs_) jobs.push_back(View(job, seconds));
  return jobs;
}

std::vector<v1::Worker> FarmSimulation::WorkersAt(double seconds) const {
  std::vector<v1::Worker> workers;
  for (const SimulatedWorker& worker : options_.workers) {
    v1::Worker& view = workers.emplace_back();
    view.set_name(worker.name);
    view.set_state(v1::Worker::ONLINE);
    view.set_slots(worker.slots);
  }
  for (const SimulatedJob& job : jobs_) {
    if (seconds < job.start || seconds >= job.end) continue;
    v1::Worker& view = workers[job.worker];
    view.set_busy_slots(view.busy_slots() + 1);
    view.add_jobs(View(job, seconds).name());
  }
  return workers;
}

void FarmSimulation::Replay(double from, double to,
                            SweepHistory& history) const {
  std::vector<std::pair<double, const SimulatedJob*>> events;
  const auto add = [&](double time, const SimulatedJob& job) {
    if (from < time && time <= to) events.emplace_back(time, &job);
  };
  for (const SimulatedJob& job : jobs_) {
    add(job.start, job);
    for (const double time : job.epoch_ends) add(time, job);
    add(job.end, job);
  }
  std::sort(events.begin(), events.end());
  for (const auto& [time, job] : events) {
    history.Observe(View(*job, time), TimeAt(time));
  }
}

}  // namespace foldfarm
