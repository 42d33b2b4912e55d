#include "coordinator/cli/watch_state.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/reconnection.h"
#include "coordinator/cli/sweep_summary.h"

namespace foldfarm {
namespace {

constexpr size_t kRecentEvents = 8;

// ", 3m 10s left" or "".
std::string CommaLeft(const TimeLeft& left) {
  const std::string text = LeftText(left);
  return text.empty() ? "" : absl::StrCat(", ", text);
}

bool IsEndOrRetry(const v1::Job& before, const v1::Job& after) {
  return before.state() != after.state() && after.state() != v1::Job::RUNNING;
}

}  // namespace

Estimate WatchState::EstimateAt(absl::Time now) const {
  EtaInput input;
  input.jobs = jobs_;
  input.now = now;
  input.history = &history_;
  if (has_workers_) input.workers = workers_;
  input.prediction_epochs = prediction_epochs_;
  return EstimateRemaining(input);
}

// Without text when nothing happened that is worth a line.
WatchEvent WatchState::Event(const v1::Job& before, const v1::Job& after,
                             const Estimate& estimate, absl::Time now) const {
  WatchEvent event = {now, "", StateStyle(after.state())};
  std::string& text = event.text;
  if (before.state() != after.state() ||
      before.attempt_count() < after.attempt_count()) {
    text = absl::StrCat(after.name(), " ", StateName(after.state()));
    switch (after.state()) {
      case v1::Job::RUNNING:
        absl::StrAppend(&text, " on ", after.worker());
        if (after.attempt_count() > 1) {
          absl::StrAppend(&text, ", attempt ", after.attempt_count());
        }
        break;
      case v1::Job::PENDING:
        event.style = Style::kWarning;
        absl::StrAppend(&text, " again");
        if (!after.error().empty()) {
          absl::StrAppend(&text, ": ", FirstLine(after.error()));
        }
        break;
      case v1::Job::SUCCEEDED:
        if (after.has_log_loss()) {
          absl::StrAppend(&text, ", log loss ", FormatScore(after.log_loss()));
        }
        absl::StrAppend(&text, " (", CountsText(sweep_),
                        CommaLeft(estimate.sweep), ")");
        break;
      case v1::Job::FAILED:
        absl::StrAppend(&text, ": ", FirstLine(after.error()));
        break;
      default:
        break;
    }
    return event;
  }
  if (after.state() != v1::Job::RUNNING || after.epochs() <= 0) return event;
  const int quarter = after.epoch() * 4 / after.epochs();
  if (quarter == before.epoch() * 4 / after.epochs() || quarter == 4) {
    return event;
  }
  text =
      absl::StrCat(after.name(), " epoch ", after.epoch(), "/", after.epochs());
  if (after.has_log_loss()) {
    absl::StrAppend(&text, ", log loss ", FormatScore(after.log_loss()));
  }
  const auto left = estimate.jobs.find(after.name());
  if (left != estimate.jobs.end()) {
    absl::StrAppend(&text, CommaLeft(left->second));
  }
  return event;
}

std::optional<WatchEvent> WatchState::Lose(absl::Time now) {
  if (lost_.has_value()) return std::nullopt;
  lost_ = now;
  return WatchEvent{now, kCoordinatorIsLost, Style::kWarning};
}

bool WatchState::Stands() const {
  const auto is = [](v1::Job::State state) {
    return [state](const v1::Job& job) { return job.state() == state; };
  };
  return std::any_of(jobs_.begin(), jobs_.end(), is(v1::Job::PENDING)) &&
         std::none_of(jobs_.begin(), jobs_.end(), is(v1::Job::RUNNING));
}

std::optional<WatchEvent> WatchState::NoteWaiting(
    const v1::ListJobsResponse& pending, absl::Time now) {
  if (!Stands()) return std::nullopt;
  std::map<std::string, int> jobs;  // By reason.
  for (const v1::Job& job : pending.jobs()) {
    // What one that backs off failed for was said.
    if (job.waiting_reason().empty() || ToTime(job.not_before_time()) > now) {
      continue;
    }
    ++jobs[job.waiting_reason()];
  }
  const auto most = std::max_element(
      jobs.begin(), jobs.end(),
      [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == jobs.end()) return std::nullopt;
  // How many are before it, or how late it is, is no other reason.
  std::string reason = most->first;
  reason.erase(
      std::remove_if(reason.begin(), reason.end(), absl::ascii_isdigit),
      reason.end());
  if (reason == waiting_) return std::nullopt;
  waiting_ = reason;
  WatchEvent event = {now,
                      absl::StrCat("nothing runs: ", most->first, " (",
                                   FormatPlural(most->second, "job"), ")"),
                      Style::kWarning};
  recent_.push_back(event);
  if (recent_.size() > kRecentEvents) recent_.pop_front();
  return event;
}

std::vector<WatchEvent> WatchState::Apply(const v1::WatchSweepResponse& update,
                                          absl::Time now) {
  const bool first = !has_data_;
  const std::string former_note = sweep_.note();
  if (update.has_sweep()) sweep_ = update.sweep();
  std::vector<std::pair<v1::Job, size_t>> changed;
  for (const v1::Job& job : update.jobs()) {
    if (job.state() == v1::Job::RUNNING) waiting_.clear();
    history_.Observe(job, now);
    const auto [it, is_new] = index_.emplace(job.name(), jobs_.size());
    if (is_new) {
      jobs_.push_back(job);
    } else {
      changed.emplace_back(jobs_[it->second], it->second);
      jobs_[it->second] = job;
    }
  }
  has_data_ = true;
  std::vector<WatchEvent> events;
  if (lost_.has_value()) {
    lost_.reset();
    events.push_back({now, "the coordinator is heard again"});
  }
  if (first) {
    events.push_back(
        {now, absl::StrCat(sweep_.id(), " (", sweep_.name(), ") on dataset ",
                           sweep_.dataset(), ": ", CountsText(sweep_))});
  }
  if (sweep_.note() != former_note && !sweep_.note().empty()) {
    events.push_back(
        {now, absl::StrCat(sweep_.id(), " ", sweep_.note()), Style::kWarning});
  }
  if (first) return events;
  const Estimate estimate = EstimateAt(now);
  for (const auto& [before, at] : changed) {
    WatchEvent event = Event(before, jobs_[at], estimate, now);
    if (event.text.empty()) continue;
    if (IsEndOrRetry(before, jobs_[at])) {
      recent_.push_back(event);
      // The counts stand in the picture anyway.
      std::string& text = recent_.back().text;
      if (jobs_[at].state() == v1::Job::SUCCEEDED) {
        text = text.substr(0, text.find(" ("));
        absl::StrAppend(&text, ", in ",
                        HumanDuration(ToTime(jobs_[at].end_time()) -
                                      ToTime(jobs_[at].start_time())));
      }
      if (recent_.size() > kRecentEvents) recent_.pop_front();
    }
    events.push_back(std::move(event));
  }
  return events;
}

std::vector<std::string> JobsToLookUp(absl::Span<const v1::Job> jobs,
                                      size_t most) {
  std::vector<std::string> names;
  std::map<std::string, const v1::Job*> ended;  // The last of each model.
  for (const v1::Job& job : jobs) {
    const v1::Job*& of_model = ended[job.model()];
    if (job.state() == v1::Job::RUNNING) {
      if (job.epoch() > 0) names.push_back(job.name());
    } else if (job.epoch() > 0 &&
               (of_model == nullptr ||
                ToTime(job.end_time()) > ToTime(of_model->end_time()))) {
      of_model = &job;
    }
  }
  // Of models that run now too: their ended folds say what an epoch takes.
  for (const auto& [model, job] : ended) {
    if (job != nullptr) names.push_back(job->name());
  }
  if (names.size() > most) names.resize(most);
  return names;
}

}  // namespace foldfarm
