// One line of `foldfarm watch`, put together from cells.
#ifndef FOLDFARM_COORDINATOR_CLI_WATCH_LINE_H_
#define FOLDFARM_COORDINATOR_CLI_WATCH_LINE_H_

#include <algorithm>
#include <string>

#include "absl/strings/string_view.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/output.h"

namespace foldfarm {

// Blanks between two cells.
inline constexpr size_t kWatchGap = 2;

// Joins cells with gaps; blanks at the end are left away.
class WatchLine {
 public:
  void Add(size_t width, absl::string_view text, Style style, bool colour,
           bool right = false) {
    if (width == 0) return;
    AddPainted(width, Paint(Truncate(text, width), style, colour), right);
  }
  void AddPainted(size_t width, const std::string& painted,
                  bool right = false) {
    if (width == 0) return;
    if (!first_) blanks_ += kWatchGap;
    first_ = false;
    const size_t pad = width - std::min(width, DisplayWidth(painted));
    if (right) blanks_ += pad;
    if (!painted.empty()) {
      text_.append(blanks_, ' ');
      text_ += painted;
      blanks_ = 0;
    }
    if (!right) blanks_ += pad;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  size_t blanks_ = 0;
  bool first_ = true;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_WATCH_LINE_H_
