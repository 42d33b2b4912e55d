// TensorBoard's event files; see export_results.h.
#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/export_results.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/sweep_text.h"
#include "coordinator/cli/tfevents.h"

namespace foldfarm {
namespace {

// TensorBoard groups charts by what stands before the slash.
std::string TagOf(const std::string& metric) {
  static const auto& kTags = *new std::map<std::string, std::string>{
      {"log_loss", "validation/log_loss"},
      {"log_loss_clip_1e_2", "validation/log_loss_clip_1e_2"},
      {"accuracy", "validation/accuracy"},
      {"train_loss", "train/loss"},
      {"lr", "train/lr"},
      {"samples_per_second", "speed/samples_per_second"},
      {"seconds", "speed/seconds"},
  };
  const auto tag = kTags.find(metric);
  return tag == kTags.end() ? absl::StrCat("other/", metric) : tag->second;
}

// The job's options, as a sweep file of one model.
std::string OptionsText(const v1::Sweep& sweep, const v1::ModelSpec& model) {
  v1::SweepSpec spec = sweep.spec();
  spec.clear_models();
  *spec.add_models() = model;
  return absl::StrCat("```\n", SweepText(spec), "```\n");
}

std::string EventsOf(const v1::Sweep& sweep, const JobRecord& job) {
  const std::vector<absl::Time> times = EpochTimes(job);
  const absl::Time begin =
      times.empty() ? ToTime(job.details.job().create_time()) : times.front();
  EventFile file(begin);
  file.AddText(begin, 0, "options", OptionsText(sweep, job.details.model()));
  const std::vector<std::string> names = MetricNames({job});
  int last_epoch = 0;
  for (int i = 0; i < job.metrics.epochs_size(); ++i) {
    const v1::EpochMetrics& epoch = job.metrics.epochs(i);
    last_epoch = std::max(last_epoch, epoch.epoch());
    std::vector<std::pair<std::string, double>> values;
    for (const std::string& name : names) {
      const auto value = epoch.values().find(name);
      if (value != epoch.values().end()) {
        values.push_back({TagOf(name), value->second});
      }
    }
    file.AddScalars(times[static_cast<size_t>(i)], epoch.epoch(), values);
  }
  std::map<std::string, double> result;
  for (const auto& [name, value] : job.metrics.result()) result[name] = value;
  std::vector<std::pair<std::string, double>> values;
  for (const auto& [name, value] : result) {
    values.push_back({absl::StrCat("result/", name), value});
  }
  file.AddScalars(times.empty() ? begin : times.back(), last_epoch, values);
  return file.bytes();
}

// What an epoch says that it took; nothing when it says nothing.
absl::Duration SecondsOf(const v1::EpochMetrics& epoch) {
  const auto seconds = epoch.values().find("seconds");
  if (seconds == epoch.values().end() || !(seconds->second > 0) ||
      !std::isfinite(seconds->second)) {
    return absl::ZeroDuration();
  }
  return absl::Seconds(seconds->second);
}

}  // namespace

std::vector<absl::Time> EpochTimes(const JobRecord& job) {
  std::vector<absl::Time> times;
  // Where the attempts have come to, by token.
  std::map<int64_t, absl::Time> now;
  absl::Time last = ToTime(job.details.job().create_time());
  if (!job.attempts.empty()) {
    last = ToTime(job.attempts.front().start_time());
  }
  const auto attempt_of = [&](const v1::EpochMetrics& epoch) {
    return std::find_if(
        job.attempts.begin(), job.attempts.end(),
        [&](const v1::Attempt& one) { return one.token() == epoch.token(); });
  };
  if (!job.attempts.empty()) {
    // Those that were taken over with a checkpoint came before.
    for (const v1::EpochMetrics& epoch : job.metrics.epochs()) {
      if (attempt_of(epoch) != job.attempts.end()) break;
      last -= SecondsOf(epoch);
    }
  }
  for (const v1::EpochMetrics& epoch : job.metrics.epochs()) {
    const auto attempt = attempt_of(epoch);
    const bool known = attempt != job.attempts.end();
    const auto at =
        now.try_emplace(epoch.token(),
                        known ? ToTime(attempt->start_time()) : last)
            .first;
    at->second += SecondsOf(epoch);
    absl::Time end = at->second;
    if (known && attempt->has_end_time()) {
      end = std::min(end, ToTime(attempt->end_time()));
    }
    last = std::max(last, end);
    times.push_back(last);
  }
  return times;
}

absl::Status WriteTensorBoard(const SweepResults& results,
                              const std::string& directory,
                              WrittenFiles& written) {
  for (const JobRecord& record : results.jobs) {
    const v1::Job& job = record.details.job();
    if (record.metrics.epochs().empty() && record.metrics.result().empty()) {
      continue;
    }
    // TensorBoard looks for "tfevents"; the number is the run's time, and the
    // same whenever the job is exported again.
    FOLDFARM_RETURN_IF_ERROR(written.Write(
        directory,
        absl::StrCat(job.model(), "/", job.fold(), "/events.out.tfevents.",
                     job.create_time().seconds(), ".foldfarm"),
        EventsOf(results.sweep, record)));
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
