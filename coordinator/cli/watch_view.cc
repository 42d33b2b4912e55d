#include "coordinator/cli/watch_view.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"

namespace foldfarm {
namespace {

// MODEL/FOLD: the sweep stands in the header already.
std::string ShortName(const v1::Job& job) {
  return absl::StrCat(job.model(), "/", job.fold());
}

// Running, failed, pending, done.
int Rank(const v1::Job& job) {
  switch (job.state()) {
    case v1::Job::RUNNING:
      return 0;
    case v1::Job::FAILED:
      return 1;
    case v1::Job::PENDING:
      return 2;
    default:
      return 3;
  }
}

double JobShare(const v1::Job& job) {
  if (Rank(job) == 1 || Rank(job) == 3) return 1;
  if (job.epochs() <= 0) return 0;
  return std::min(1.0, static_cast<double>(job.epoch()) / job.epochs());
}

std::string FirstLine(absl::string_view text) {
  return std::string(text.substr(0, text.find('\n')));
}

std::string Pad(absl::string_view text, size_t width, bool right = false) {
  const std::string cut = Truncate(text, width);
  const std::string blanks(width - std::min(width, DisplayWidth(cut)), ' ');
  return right ? blanks + cut : cut + blanks;
}

// What stands behind a job's score: who runs it and for how long yet, why it
// failed, how long it took.
std::string Remark(const v1::Job& job, absl::Time now,
                   const Estimate& estimate) {
  switch (job.state()) {
    case v1::Job::RUNNING: {
      const auto left = estimate.jobs.find(job.name());
      return absl::StrCat(
          left == estimate.jobs.end()
              ? "starting"
              : absl::StrCat(HumanDuration(left->second), " left"),
          "  on ", job.worker(),
          job.attempt_count() > 1
              ? absl::StrCat("  attempt ", job.attempt_count())
              : "");
    }
    case v1::Job::FAILED:
      return FirstLine(job.error());
    case v1::Job::PENDING:
      if (ToTime(job.not_before_time()) > now) {
        return absl::StrCat("retried ",
                            FormatRelative(ToTime(job.not_before_time()), now),
                            ": ", FirstLine(job.error()));
      }
      return "";
    case v1::Job::SUCCEEDED:
      if (!job.reused_from().empty()) {
        return absl::StrCat("reused from ", job.reused_from());
      }
      return absl::StrCat("in ", HumanDuration(ToTime(job.end_time()) -
                                               ToTime(job.start_time())));
    default:
      return "";
  }
}

struct Layout {
  size_t name = 0;
  size_t bar = 0;
  size_t epochs = 0;
};

std::string JobLine(const v1::Job& job, absl::Time now,
                    const Estimate& estimate, const Layout& layout,
                    size_t columns, bool colour) {
  std::string line = absl::StrCat(
      Pad(ShortName(job), layout.name), "  ",
      Paint(Pad(StateName(job.state()), 9), StateStyle(job.state()), colour));
  size_t used = layout.name + 2 + 9;
  if (layout.bar > 0) {
    absl::StrAppend(&line, "  ",
                    ProgressBar(JobShare(job), layout.bar, colour));
    used += 2 + layout.bar;
  }
  absl::StrAppend(
      &line, "  ",
      Pad(absl::StrCat(job.epoch(), "/", job.epochs()), layout.epochs, true),
      "  ",
      Pad(job.has_log_loss() ? FormatScore(job.log_loss()) : "-", 6, true));
  used += 2 + layout.epochs + 2 + 6;
  if (used + 4 < columns) {
    const Style style =
        job.state() == v1::Job::FAILED ? Style::kBad : Style::kDim;
    absl::StrAppend(
        &line, "  ",
        Paint(Truncate(Remark(job, now, estimate), columns - used - 2), style,
              colour));
  }
  return line;
}

}  // namespace

std::string ProgressBar(double share, size_t width, bool colour) {
  const size_t full = static_cast<size_t>(
      std::floor(std::clamp(share, 0.0, 1.0) * static_cast<double>(width)));
  std::string done, rest;
  for (size_t i = 0; i < width; ++i) {
    absl::StrAppend(i < full ? &done : &rest, i < full ? "━" : "─");
  }
  return Paint(done, Style::kGood, colour) + Paint(rest, Style::kDim, colour);
}

std::string WatchState::Counts() const {
  const int done = sweep_.succeeded() + sweep_.failed() + sweep_.cancelled();
  std::string text = absl::StrCat(
      done, " of ", FormatPlural(static_cast<int64_t>(jobs_.size()), "job"),
      " done");
  const std::pair<int, const char*> parts[] = {
      {sweep_.running(), "running"},
      {sweep_.pending(), "pending"},
      {sweep_.failed(), "failed"},
      {sweep_.cancelled(), "cancelled"}};
  for (const auto& [count, name] : parts) {
    if (count > 0) absl::StrAppend(&text, ", ", count, " ", name);
  }
  return text;
}

std::string WatchState::Event(const v1::Job& before, const v1::Job& after,
                              const Estimate& estimate) const {
  if (before.state() != after.state() ||
      before.attempt_count() < after.attempt_count()) {
    std::string text =
        absl::StrCat(after.name(), " ", StateName(after.state()));
    switch (after.state()) {
      case v1::Job::RUNNING:
        absl::StrAppend(&text, " on ", after.worker());
        if (after.attempt_count() > 1) {
          absl::StrAppend(&text, ", attempt ", after.attempt_count());
        }
        break;
      case v1::Job::PENDING:
        absl::StrAppend(&text, " again");
        if (!after.error().empty()) {
          absl::StrAppend(&text, ": ", FirstLine(after.error()));
        }
        break;
      case v1::Job::SUCCEEDED:
        if (after.has_log_loss()) {
          absl::StrAppend(&text, ", log loss ", FormatScore(after.log_loss()));
        }
        absl::StrAppend(&text, " (", Counts());
        if (estimate.sweep != absl::InfiniteDuration() &&
            estimate.sweep > absl::ZeroDuration()) {
          absl::StrAppend(&text, ", ", HumanDuration(estimate.sweep), " left");
        }
        absl::StrAppend(&text, ")");
        break;
      case v1::Job::FAILED:
        absl::StrAppend(&text, ": ", FirstLine(after.error()));
        break;
      default:
        break;
    }
    return text;
  }
  if (after.state() != v1::Job::RUNNING || after.epochs() <= 0) return "";
  const int quarter = after.epoch() * 4 / after.epochs();
  if (quarter == before.epoch() * 4 / after.epochs() || quarter == 4) return "";
  std::string text =
      absl::StrCat(after.name(), " epoch ", after.epoch(), "/", after.epochs());
  if (after.has_log_loss()) {
    absl::StrAppend(&text, ", log loss ", FormatScore(after.log_loss()));
  }
  const auto left = estimate.jobs.find(after.name());
  if (left != estimate.jobs.end()) {
    absl::StrAppend(&text, ", ", HumanDuration(left->second), " left");
  }
  return text;
}

std::vector<std::string> WatchState::Apply(
    const v1::WatchSweepResponse& update) {
  const bool first = !has_data_;
  const std::string former_note = sweep_.note();
  if (update.has_sweep()) sweep_ = update.sweep();
  std::vector<std::pair<v1::Job, size_t>> changed;
  for (const v1::Job& job : update.jobs()) {
    const auto [it, is_new] = index_.emplace(job.name(), jobs_.size());
    if (is_new) {
      jobs_.push_back(job);
    } else {
      changed.emplace_back(jobs_[it->second], it->second);
      jobs_[it->second] = job;
    }
  }
  has_data_ = true;
  if (first) {
    return {absl::StrCat(sweep_.id(), " (", sweep_.name(), ") on dataset ",
                         sweep_.dataset(), ": ", Counts(),
                         sweep_.note().empty() ? "" : "; ", sweep_.note())};
  }
  std::vector<std::string> lines;
  if (sweep_.note() != former_note) {
    lines.push_back(absl::StrCat(sweep_.id(), " ", sweep_.note()));
  }
  const Estimate estimate = EstimateRemaining(jobs_);
  for (const auto& [before, at] : changed) {
    std::string line = Event(before, jobs_[at], estimate);
    if (!line.empty()) lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<std::string> WatchLines(const WatchState& state, absl::Time now,
                                    TerminalSize size, bool colour) {
  const v1::Sweep& sweep = state.sweep();
  const size_t columns = std::max<size_t>(size.columns, 20);
  const Estimate estimate = EstimateRemaining(state.jobs());
  double share = 0;
  Layout layout;
  for (const v1::Job& job : state.jobs()) {
    share += JobShare(job);
    layout.name = std::max(layout.name, DisplayWidth(ShortName(job)));
    layout.epochs = std::max(
        layout.epochs, absl::StrCat(job.epochs(), "/", job.epochs()).size());
  }
  if (!state.jobs().empty()) share /= static_cast<double>(state.jobs().size());
  // The remark gets what the name and the bar leave over.
  layout.name = std::min(layout.name, columns / 3);
  layout.bar = columns >= 100 ? 24 : columns >= 70 ? 12 : 0;

  std::string title = absl::StrCat(sweep.id(), " ", sweep.name());
  std::string since;
  if (sweep.has_end_time()) {
    since = absl::StrCat("after ", HumanDuration(ToTime(sweep.end_time()) -
                                                 ToTime(sweep.create_time())));
  } else if (sweep.has_create_time()) {
    since =
        absl::StrCat("for ", HumanDuration(now - ToTime(sweep.create_time())));
  }
  title = Truncate(title, columns - std::min(columns, since.size() + 14));
  std::vector<std::string> lines;
  lines.push_back(absl::StrCat(
      Paint(title, Style::kHeader, colour), "  ",
      Paint(StateName(sweep.state()), StateStyle(sweep.state()), colour), "  ",
      Paint(since, Style::kDim, colour)));
  std::string left;
  if (estimate.sweep != absl::InfiniteDuration() &&
      estimate.sweep > absl::ZeroDuration()) {
    left = absl::StrCat("  ", HumanDuration(estimate.sweep), " left");
  }
  const size_t bar = std::min<size_t>(24, columns / 4);
  lines.push_back(absl::StrCat(
      ProgressBar(share, bar, colour), " ",
      Truncate(absl::StrFormat("%3.0f %%%s  %s", std::floor(share * 100), left,
                               state.Counts()),
               columns - bar - 1)));
  if (!sweep.note().empty()) lines.push_back(Truncate(sweep.note(), columns));
  lines.push_back("");

  std::vector<const v1::Job*> order;
  for (const v1::Job& job : state.jobs()) order.push_back(&job);
  std::stable_sort(
      order.begin(), order.end(), [](const v1::Job* a, const v1::Job* b) {
        if (Rank(*a) != Rank(*b)) return Rank(*a) < Rank(*b);
        // Of the done ones the latest first.
        return Rank(*a) == 3 && ToTime(a->end_time()) > ToTime(b->end_time());
      });
  const size_t room = size.rows > lines.size() ? size.rows - lines.size() : 0;
  size_t shown = order.size();
  if (shown > room) shown = room > 0 ? room - 1 : 0;
  for (size_t i = 0; i < shown; ++i) {
    lines.push_back(JobLine(*order[i], now, estimate, layout, columns, colour));
  }
  if (shown < order.size() && room > 0) {
    lines.push_back(Paint(absl::StrCat("and ", order.size() - shown, " more"),
                          Style::kDim, colour));
  }
  return lines;
}

}  // namespace foldfarm
