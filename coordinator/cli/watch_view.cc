#include "coordinator/cli/watch_view.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/sweep_summary.h"
#include "coordinator/cli/watch_line.h"
#include "coordinator/cli/watch_models.h"

namespace foldfarm {
namespace {

// At most so many failures and ends are named below the models.
constexpr size_t kMostFailures = 3;
constexpr size_t kMostRecent = 3;

// What failed for good, newest first, then what ended last.
std::vector<std::string> TailLines(const WatchState& state, absl::TimeZone zone,
                                   size_t columns, bool colour) {
  std::vector<std::string> lines;
  std::vector<const v1::Job*> failed;
  for (const v1::Job& job : state.jobs()) {
    if (job.state() == v1::Job::FAILED) failed.push_back(&job);
  }
  std::stable_sort(failed.begin(), failed.end(),
                   [](const v1::Job* a, const v1::Job* b) {
                     return ToTime(a->end_time()) > ToTime(b->end_time());
                   });
  if (failed.size() > kMostFailures) failed.resize(kMostFailures);
  for (const v1::Job* job : failed) {
    lines.push_back(Paint(
        Truncate(absl::StrCat("✗ ", job->name(), ": ", FirstLine(job->error())),
                 columns),
        Style::kBad, colour));
  }
  size_t shown = 0;
  for (auto it = state.recent().rbegin();
       it != state.recent().rend() && shown < kMostRecent; ++it) {
    if (it->style == Style::kBad) continue;  // Stands above.
    ++shown;
    lines.push_back(Paint(
        Truncate(absl::StrCat(absl::FormatTime("%H:%M:%S", it->time, zone),
                              "  ", it->text),
                 columns),
        it->style == Style::kWarning ? Style::kWarning : Style::kDim, colour));
  }
  return lines;
}

std::vector<std::string> HeadLines(const WatchState& state,
                                   const Estimate& estimate, absl::Time now,
                                   absl::TimeZone zone, size_t columns,
                                   bool colour) {
  const v1::Sweep& sweep = state.sweep();
  std::vector<std::string> lines;
  const std::string since = SinceText(sweep, now);
  const Cell sweep_state = SweepStateCell(sweep);
  const size_t behind =
      kWatchGap + sweep_state.text.size() + kWatchGap + since.size();
  const std::string title =
      Truncate(absl::StrCat(sweep.id(), " ", sweep.name()),
               columns - std::min(columns - 1, behind));
  WatchLine first;
  first.AddPainted(DisplayWidth(title), Paint(title, Style::kHeader, colour));
  const size_t room =
      columns - std::min(columns, DisplayWidth(title) + kWatchGap);
  first.Add(std::min(sweep_state.text.size(), room), sweep_state.text,
            sweep_state.style, colour);
  first.Add(columns > behind + 1 ? since.size() : 0, since, Style::kDim,
            colour);
  lines.push_back(first.text());

  double share = 0;
  for (const v1::Job& job : state.jobs()) share += JobShare(job);
  if (!state.jobs().empty()) share /= static_cast<double>(state.jobs().size());
  const size_t bar = std::clamp<size_t>(columns / 4, 6, 24);
  std::string progress = absl::StrFormat("%.0f %%", std::floor(share * 100));
  const size_t beside = columns - bar - 1;
  const std::string until = LeftUntilText(estimate.sweep, now, zone);
  const std::string left = LeftText(estimate.sweep);
  const std::string& time =
      DisplayWidth(progress) + kWatchGap + DisplayWidth(until) <= beside ? until
                                                                         : left;
  if (!time.empty()) absl::StrAppend(&progress, "  ", time);
  lines.push_back(absl::StrCat(ProgressBar(share, bar, colour), " ",
                               Truncate(progress, beside)));

  WatchLine counts;
  const std::string count_text = Truncate(CountsText(sweep), columns);
  counts.Add(DisplayWidth(count_text), count_text, Style::kPlain, colour);
  if (state.has_workers() && !sweep.has_end_time()) {
    const Cell workers = WorkersText(state.workers());
    const size_t width = DisplayWidth(workers.text);
    if (DisplayWidth(count_text) + kWatchGap + width <= columns) {
      counts.Add(width, workers.text, workers.style, colour);
      lines.push_back(counts.text());
    } else {
      lines.push_back(counts.text());
      lines.push_back(
          Paint(Truncate(workers.text, columns), workers.style, colour));
    }
  } else {
    lines.push_back(counts.text());
  }
  if (state.lost().has_value()) {
    lines.push_back(Paint(
        Truncate(absl::StrCat("The coordinator is not heard since ",
                              absl::FormatTime("%H:%M:%S", *state.lost(), zone),
                              "; trying again"),
                 columns),
        Style::kWarning, colour));
  }
  if (!sweep.note().empty()) {
    lines.push_back(
        Paint(Truncate(sweep.note(), columns), Style::kWarning, colour));
  }
  return lines;
}

}  // namespace

std::vector<std::string> WatchLines(const WatchState& state, absl::Time now,
                                    absl::TimeZone zone, TerminalSize size,
                                    bool colour) {
  const size_t columns = std::max<size_t>(size.columns, 20);
  const Estimate estimate = state.EstimateAt(now);
  const std::vector<ModelSummary> models =
      SummarizeModels(state.jobs(), state.history());
  std::vector<std::string> lines =
      HeadLines(state, estimate, now, zone, columns, colour);
  const WatchLayout layout = MakeWatchLayout(models, columns);
  std::vector<std::string> tail = TailLines(state, zone, columns, colour);

  // The tail gives way to models that still fit whole, but not below two lines.
  const size_t table = lines.size() + 2;  // A blank line and the titles.
  const size_t room = size.rows > table ? size.rows - table : 0;
  size_t for_tail = tail.empty() ? 0 : tail.size() + 1;
  if (models.size() + for_tail > room) {
    const size_t least = room >= 10 ? std::min<size_t>(for_tail, 3) : 0;
    const size_t spare = room > models.size() ? room - models.size() : 0;
    for_tail = std::max(least, std::min(for_tail, spare));
    if (for_tail == 1) for_tail = 0;
  }
  tail.resize(for_tail > 0 ? for_tail - 1 : 0);
  lines.push_back("");
  lines.push_back(ModelHeader(layout, colour));
  for (std::string& line :
       ModelLines(models, now, estimate, layout, room - for_tail, colour)) {
    lines.push_back(std::move(line));
  }
  if (!tail.empty()) lines.push_back("");
  for (std::string& line : tail) lines.push_back(std::move(line));
  if (lines.size() + 2 <= size.rows && layout.marks &&
      DisplayWidth(MarkLegend()) <= columns) {
    lines.push_back("");
    lines.push_back(Paint(MarkLegend(), Style::kDim, colour));
  }
  if (lines.size() > size.rows) lines.resize(size.rows);
  return lines;
}

}  // namespace foldfarm
