#include "coordinator/cli/sweep_summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"

namespace foldfarm {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

bool WaitsAgain(const v1::Job& job) {
  return job.state() == v1::Job::PENDING && job.attempt_count() > 0 &&
         !job.error().empty();
}

void Count(const v1::Job& job, ModelSummary& summary) {
  switch (job.state()) {
    case v1::Job::RUNNING:
      ++summary.running;
      break;
    case v1::Job::SUCCEEDED:
      ++summary.succeeded;
      break;
    case v1::Job::FAILED:
      ++summary.failed;
      break;
    case v1::Job::CANCELLED:
      ++summary.cancelled;
      break;
    default:
      ++summary.pending;
      break;
  }
}

// Whether `a` is the better one to show the curve of.
bool ShowsMore(const v1::Job& a, const v1::Job& b) {
  const bool a_runs = a.state() == v1::Job::RUNNING;
  const bool b_runs = b.state() == v1::Job::RUNNING;
  if (a_runs != b_runs) return a_runs;
  if (a_runs) return a.epoch() > b.epoch();
  return ToTime(a.end_time()) > ToTime(b.end_time());
}

void AddCurve(const SweepHistory& history, ModelSummary& summary) {
  const v1::Job* shown = nullptr;
  for (const v1::Job* job : summary.jobs) {
    std::vector<double> curve = history.Curve(job->name());
    if (curve.empty()) continue;
    if (shown != nullptr && !ShowsMore(*job, *shown)) continue;
    shown = job;
    summary.curve = std::move(curve);
  }
  if (!summary.curve.empty()) {
    summary.last = summary.curve.back();
    summary.best =
        *std::min_element(summary.curve.begin(), summary.curve.end());
    return;
  }
  for (const v1::Job* job : summary.jobs) {
    if (job->state() == v1::Job::RUNNING && job->has_log_loss()) {
      summary.last = job->log_loss();
    }
  }
}

}  // namespace

std::vector<ModelSummary> SummarizeModels(absl::Span<const v1::Job> jobs,
                                          const SweepHistory& history) {
  std::vector<ModelSummary> models;
  std::map<std::string, size_t> index;
  for (const v1::Job& job : jobs) {
    const auto [it, is_new] = index.emplace(job.model(), models.size());
    if (is_new) {
      models.emplace_back();
      models.back().model = job.model();
    }
    models[it->second].jobs.push_back(&job);
  }
  for (ModelSummary& summary : models) {
    std::sort(summary.jobs.begin(), summary.jobs.end(),
              [](const v1::Job* a, const v1::Job* b) {
                return a->fold() < b->fold();
              });
    summary.last = summary.best = summary.score = kNone;
    double sum = 0;
    int scored = 0;
    for (const v1::Job* job : summary.jobs) {
      Count(*job, summary);
      summary.share +=
          JobShare(*job) / static_cast<double>(summary.jobs.size());
      if (job->state() == v1::Job::SUCCEEDED && job->has_log_loss()) {
        sum += job->log_loss();
        ++scored;
      }
      if (job->state() != v1::Job::FAILED && !WaitsAgain(*job)) continue;
      if (summary.trouble == nullptr ||
          ToTime(job->end_time()) >= ToTime(summary.trouble->end_time())) {
        summary.trouble = job;
      }
    }
    if (scored > 0) summary.score = sum / scored;
    AddCurve(history, summary);
  }
  return models;
}

double JobShare(const v1::Job& job) {
  if (job.state() != v1::Job::RUNNING && job.state() != v1::Job::PENDING) {
    return 1;
  }
  if (job.epochs() <= 0) return 0;
  return std::min(1.0, static_cast<double>(job.epoch()) / job.epochs());
}

Cell JobMark(const v1::Job& job) {
  const Style style = StateStyle(job.state());
  switch (job.state()) {
    case v1::Job::SUCCEEDED:
      return Cell("✓", style);
    case v1::Job::RUNNING:
      return Cell("▸", style);
    case v1::Job::FAILED:
      return Cell("✗", style);
    case v1::Job::CANCELLED:
      return Cell("–", style);
    default:
      return WaitsAgain(job) ? Cell("↻", Style::kWarning) : Cell("·", style);
  }
}

std::string MarkLegend() {
  return "✓ done  ▸ running  · waiting  ↻ will be tried again  ✗ failed  "
         "– cancelled";
}

Cell SweepStateCell(const v1::Sweep& sweep) {
  return sweep.paused() ? Cell("paused", Style::kWarning)
                        : StateCell(sweep.state());
}

std::string CountsText(const v1::Sweep& sweep) {
  const int done = sweep.succeeded() + sweep.failed() + sweep.cancelled();
  std::string text = absl::StrCat(
      done, " of ",
      FormatPlural(done + sweep.running() + sweep.pending(), "job"), " done");
  const std::pair<int, const char*> parts[] = {
      {sweep.running(), "running"},
      {sweep.pending(), "pending"},
      {sweep.failed(), "failed"},
      {sweep.cancelled(), "cancelled"}};
  for (const auto& [count, name] : parts) {
    if (count > 0) absl::StrAppend(&text, ", ", count, " ", name);
  }
  return text;
}

Cell WorkersText(absl::Span<const v1::Worker> workers) {
  int online = 0;
  int busy = 0;
  int slots = 0;
  for (const v1::Worker& worker : workers) {
    if (worker.state() == v1::Worker::OFFLINE) continue;
    ++online;
    busy += worker.busy_slots();
    slots += worker.slots();
  }
  if (online == 0) return Cell("no worker is online", Style::kWarning);
  return Cell(absl::StrCat(busy, " of ", FormatPlural(slots, "slot"),
                           " busy on ", FormatPlural(online, "worker")),
              busy > 0 ? Style::kPlain : Style::kWarning);
}

std::string ProgressBar(double share, size_t width, bool colour) {
  const size_t full = static_cast<size_t>(
      std::floor(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
  std::string done, rest;
  for (size_t i = 0; i < width; ++i) {
    absl::StrAppend(i < full ? &done : &rest, i < full ? "━" : "─");
  }
  return Paint(done, Style::kGood, colour) + Paint(rest, Style::kDim, colour);
}

std::string SinceText(const v1::Sweep& sweep, absl::Time now) {
  if (sweep.has_end_time()) {
    return absl::StrCat("after ", HumanDuration(ToTime(sweep.end_time()) -
                                                ToTime(sweep.create_time())));
  }
  if (!sweep.has_create_time()) return "";
  return absl::StrCat("for ", HumanDuration(now - ToTime(sweep.create_time())));
}

std::string LeftUntilText(const TimeLeft& left, absl::Time now,
                          absl::TimeZone zone) {
  std::string text = LeftText(left);
  if (text.empty() || left.likely < absl::Minutes(2)) return text;
  const absl::Time end = now + left.likely;
  const bool today = absl::ToCivilDay(end, zone) == absl::ToCivilDay(now, zone);
  return absl::StrCat(
      text, ", until ",
      absl::FormatTime(today                               ? "%H:%M"
                       : left.likely < absl::Hours(24 * 6) ? "%a %H:%M"
                                                           : "%Y-%m-%d",
                       end, zone));
}

std::string FirstLine(absl::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

std::string Pad(absl::string_view text, size_t width, bool right) {
  const std::string cut = Truncate(text, width);
  const std::string blanks(width - std::min(width, DisplayWidth(cut)), ' ');
  return right ? blanks + cut : cut + blanks;
}

}  // namespace foldfarm
