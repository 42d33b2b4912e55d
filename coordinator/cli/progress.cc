#include "coordinator/cli/progress.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/sweep_summary.h"

namespace foldfarm {
namespace {

// A terminal is redrawn at most so often; elsewhere a line comes with every
// tenth, but not sooner than the second figure, and at the latest after the
// third.
constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr absl::Duration kShortestGap = absl::Seconds(1);
constexpr absl::Duration kLongestGap = absl::Seconds(5);

std::string Amounts(ProgressUnit unit, int64_t done, int64_t total) {
  if (unit == ProgressUnit::kBytes) {
    return absl::StrCat(FormatBytes(done), " of ", FormatBytes(total));
  }
  return absl::StrCat(
      FormatCount(done), "/",
      FormatPlural(total,
                   unit == ProgressUnit::kNetworks ? "network" : "sample"));
}

std::string Rate(ProgressUnit unit, double per_second) {
  if (unit != ProgressUnit::kBytes && per_second < 10) {
    return absl::StrFormat("%.1f/s", per_second);
  }
  const int64_t whole = std::llround(per_second);
  if (unit == ProgressUnit::kBytes) {
    return absl::StrCat(FormatBytes(whole), "/s");
  }
  return absl::StrCat(FormatCount(whole), "/s");
}

}  // namespace

std::string ProgressText(absl::string_view what, ProgressUnit unit,
                         int64_t done, int64_t total, absl::Duration elapsed,
                         size_t columns, bool colour) {
  std::string tail = Amounts(unit, done, total);
  const double seconds = absl::ToDoubleSeconds(elapsed);
  if (done > 0 && seconds >= 0.5) {
    const double rate = static_cast<double>(done) / seconds;
    absl::StrAppend(&tail, "  ", Rate(unit, rate));
    if (done < total) {
      absl::StrAppend(&tail, "  ",
                      HumanDuration(absl::Seconds(
                          static_cast<double>(total - done) / rate)),
                      " left");
    }
  }
  const std::string text = absl::StrCat(what, " ");
  const size_t used = DisplayWidth(text) + 1 + DisplayWidth(tail);
  constexpr size_t kLeastBar = 8;
  if (columns < used + kLeastBar) {
    const std::string plain = absl::StrCat(text, tail);
    return columns == 0 ? plain : Truncate(plain, columns);
  }
  const double share =
      total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
  return absl::StrCat(
      text, ProgressBar(share, std::min<size_t>(columns - used, 30), colour),
      " ", tail);
}

Progress::Progress(const Console& console, Clock& clock, std::string what,
                   ProgressUnit unit)
    : console_(console),
      clock_(clock),
      what_(std::move(what)),
      unit_(unit),
      start_(clock.Monotonic()),
      last_(start_) {}

Progress::~Progress() {
  absl::MutexLock lock(&mu_);
  if (drawn_) *console_.err << "\r\033[K" << std::flush;
}

void Progress::Update(int64_t done, int64_t total) {
  absl::MutexLock lock(&mu_);
  const absl::Duration now = clock_.Monotonic();
  const absl::Duration gap = now - last_;
  if (console_.err_redraws) {
    if (drawn_ && gap < kRedraw && done < total) return;
    const size_t columns = TerminalSizeOf(console_.err_fd).columns - 1;
    *console_.err << "\r"
                  << console_.Fit(ProgressText(what_, unit_, done, total,
                                               now - start_, columns,
                                               console_.err_colour))
                  << "\033[K" << std::flush;
    drawn_ = true;
  } else {
    const int64_t tenth = total > 0 ? done * 10 / total : 0;
    const bool due =
        (tenth > last_tenth_ && gap >= kShortestGap) || gap >= kLongestGap;
    if (!due) return;
    *console_.err << ProgressText(what_, unit_, done, total, now - start_, 0,
                                  false)
                  << std::endl;
    last_tenth_ = tenth;
  }
  last_ = now;
}

}  // namespace foldfarm
