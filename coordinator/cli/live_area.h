// A block of lines at the bottom of a terminal that is redrawn in place.
//
// Survives a change of the terminal's width: what was drawn is measured anew
// before the cursor goes back over it. Not thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_LIVE_AREA_H_
#define FOLDFARM_COORDINATOR_CLI_LIVE_AREA_H_

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

namespace foldfarm {

class LiveArea {
 public:
  // `out` is borrowed and must be a terminal.
  explicit LiveArea(std::ostream& out) : out_(out) {}

  // Replaces the block. `columns` is the terminal's present width.
  void Draw(const std::vector<std::string>& lines, size_t columns);

  // Takes the block away, so that ordinary lines can be printed.
  void Clear(size_t columns);

  // Leaves the block standing; the next Draw begins below it.
  void Keep() { widths_.clear(); }

 private:
  // The escape sequence to the block's first column and row.
  std::string ToTop(size_t columns) const;

  std::ostream& out_;
  std::vector<size_t> widths_;  // Of the lines that stand there.
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_LIVE_AREA_H_
