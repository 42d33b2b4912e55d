#include "coordinator/cli/live_area.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/interrupt.h"

namespace foldfarm {
namespace {

constexpr char kHideCursor[] = "\033[?25l";
constexpr char kShowCursor[] = "\033[?25h";
constexpr char kSecondScreen[] = "\033[?1049h\033[?25l";
constexpr char kFirstScreen[] = "\033[?25h\033[?1049l";
// A terminal that knows these shows what is between them at once.
constexpr char kBeginUpdate[] = "\033[?2026h";
constexpr char kEndUpdate[] = "\033[?2026l";

}  // namespace

std::string LiveArea::ToTop(size_t columns) const {
  // Every line ended in a line break, so the cursor stands below the block. A
  // terminal that became narrower has wrapped its lines.
  size_t rows = 0;
  for (const std::string& line : lines_) {
    rows += std::max<size_t>(1, (DisplayWidth(line) + columns - 1) / columns);
  }
  return rows == 0 ? "\r" : absl::StrCat("\r\033[", rows, "A");
}

void LiveArea::Enter() {
  if (entered_) return;
  entered_ = true;
  const bool full = mode_ == Mode::kFullScreen;
  if (fd_ >= 0) {
    InterruptScope::SetFarewell(fd_, full ? kFirstScreen : kShowCursor);
  }
  out_ << (full ? kSecondScreen : kHideCursor);
}

void LiveArea::Draw(const std::vector<std::string>& lines, size_t columns) {
  Enter();
  std::string text = kBeginUpdate;
  if (mode_ == Mode::kFullScreen) {
    absl::StrAppend(&text, "\033[H");
    for (size_t i = 0; i < lines.size(); ++i) {
      // No line break after the last row: it would scroll.
      absl::StrAppend(&text, i == 0 ? "" : "\r\n", lines[i], "\033[K");
    }
  } else {
    absl::StrAppend(&text, ToTop(columns));
    for (const std::string& line : lines) {
      absl::StrAppend(&text, line, "\033[K\n");
    }
  }
  out_ << text << "\033[J" << kEndUpdate << std::flush;
  lines_ = lines;
}

void LiveArea::Clear(size_t columns) {
  if (mode_ == Mode::kFullScreen || lines_.empty()) return;
  out_ << ToTop(columns) << "\033[J" << std::flush;
  lines_.clear();
}

void LiveArea::Leave(const std::vector<std::string>& last) {
  if (!entered_) return;
  entered_ = false;
  if (mode_ == Mode::kFullScreen) {
    out_ << kFirstScreen;
    for (const std::string& line : last.empty() ? lines_ : last) {
      out_ << line << "\n";
    }
  } else {
    out_ << kShowCursor;
  }
  out_ << std::flush;
  if (fd_ >= 0) InterruptScope::SetFarewell(-1, nullptr);
  lines_.clear();
}

}  // namespace foldfarm
