#include "coordinator/cli/live_area.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/format.h"

namespace foldfarm {

std::string LiveArea::ToTop(size_t columns) const {
  // Every line ended in a line break, so the cursor stands below the block. A
  // terminal that became narrower has wrapped its lines.
  size_t rows = 0;
  for (const size_t width : widths_) {
    rows += std::max<size_t>(1, (width + columns - 1) / columns);
  }
  return rows == 0 ? "\r" : absl::StrCat("\r\033[", rows, "A");
}

void LiveArea::Draw(const std::vector<std::string>& lines, size_t columns) {
  std::string text = ToTop(columns);
  widths_.clear();
  for (const std::string& line : lines) {
    absl::StrAppend(&text, line, "\033[K\n");
    widths_.push_back(DisplayWidth(line));
  }
  out_ << text << "\033[J" << std::flush;
}

void LiveArea::Clear(size_t columns) {
  if (widths_.empty()) return;
  out_ << ToTop(columns) << "\033[J" << std::flush;
  widths_.clear();
}

}  // namespace foldfarm
