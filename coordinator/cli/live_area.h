// A picture of lines on a terminal that is drawn anew in place.
//
// kInline: a block at the bottom of what was printed before; what was drawn is
// measured anew before the cursor goes back over it, for terminals that wrap
// lines when they become narrower. kFullScreen: the terminal's second screen,
// as pagers use it, which no change of size can spoil; the last picture is left
// on the first screen.
//
// The cursor is hidden while a picture stands and comes back however that ends:
// Leave, the destructor, or a second Ctrl-C (InterruptScope). Not thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_LIVE_AREA_H_
#define FOLDFARM_COORDINATOR_CLI_LIVE_AREA_H_

#include <cstddef>
#include <ostream>
#include <string>
#include <vector>

namespace foldfarm {

class LiveArea {
 public:
  enum class Mode { kInline, kFullScreen };

  // `out` is borrowed and must be a terminal, `fd` its descriptor or -1.
  explicit LiveArea(std::ostream& out, Mode mode = Mode::kInline, int fd = -1)
      : out_(out), mode_(mode), fd_(fd) {}
  ~LiveArea() { Leave(); }
  LiveArea(const LiveArea&) = delete;
  LiveArea& operator=(const LiveArea&) = delete;

  // Replaces the picture. `columns` is the terminal's present width. Full
  // screen: `lines` are no more than its rows.
  void Draw(const std::vector<std::string>& lines, size_t columns);

  // Takes an inline picture away, so that ordinary lines can be printed.
  void Clear(size_t columns);

  // Ends: the picture stays, with `last` in its place if that is not empty, and
  // what is printed next comes below it.
  void Leave(const std::vector<std::string>& last = {});

  Mode mode() const { return mode_; }

 private:
  // The escape sequence to the block's first column and row.
  std::string ToTop(size_t columns) const;
  void Enter();

  std::ostream& out_;
  const Mode mode_;
  const int fd_;
  bool entered_ = false;
  std::vector<std::string> lines_;  // That stand there.
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_LIVE_AREA_H_
