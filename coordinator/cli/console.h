// Where the command's words go: results to stdout, everything else to stderr.
//
// Knows whether each is a terminal, how wide it is and whether colour is
// wanted. Tests put string streams in place of both. Not thread-safe, except
// where noted.
#ifndef FOLDFARM_COORDINATOR_CLI_CONSOLE_H_
#define FOLDFARM_COORDINATOR_CLI_CONSOLE_H_

#include <cstddef>
#include <memory>
#include <ostream>
#include <streambuf>
#include <string>

#include "absl/strings/string_view.h"

namespace foldfarm {

// What a piece of text means; the console decides how that looks.
enum class Style {
  kPlain,
  kHeader,   // Bold.
  kDim,      // Secondary.
  kGood,     // Green: succeeded.
  kActive,   // Blue: running.
  kWarning,  // Yellow: waits or needs attention.
  kBad,      // Red: failed.
};

// `text` within the escape sequences of `style`; as it is without colour.
std::string Paint(absl::string_view text, Style style, bool colour);

struct TerminalSize {
  size_t columns = 80;
  size_t rows = 24;
};

// Of the terminal at `fd`; 80 x 24 when there is none.
TerminalSize TerminalSizeOf(int fd);

struct Console {
  // stdout and stderr of the process, with what they are and what the
  // environment says about them (environment.h).
  static Console ForProcess();

  std::ostream* out = nullptr;  // Borrowed.
  std::ostream* err = nullptr;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool out_colour = false;
  bool err_colour = false;
  // A terminal whose lines can be drawn over.
  bool out_redraws = false;
  bool err_redraws = false;
  // The locale has more than ASCII; see Fit.
  bool unicode = true;
  // Descriptors to ask for a size, or -1.
  int out_fd = -1;
  int err_fd = -1;

  void DisableColour() { out_colour = err_colour = false; }

  // Text for people as the locale can show it; not for JSON and files.
  std::string Fit(std::string text) const;

  // A line on stderr: the text alone, after "warning:", after "error:".
  void Note(absl::string_view text) const;
  void Warn(absl::string_view text) const;
  void Error(absl::string_view text) const;
};

// Watches the writes to a stream as long as it lives. A stream says that it
// failed, not why, and errno says something else by the time that one asks.
// Not thread-safe.
class CheckedOutput {
 public:
  explicit CheckedOutput(std::ostream& stream);  // Borrowed; outlives this.
  ~CheckedOutput();
  CheckedOutput(const CheckedOutput&) = delete;
  CheckedOutput& operator=(const CheckedOutput&) = delete;

  // Writes what is still buffered. False when that or something before failed.
  bool Flush();
  // errno of the first failure; 0 when none or nobody set it.
  int error() const;

 private:
  class Buffer;

  std::ostream& stream_;
  std::streambuf* const former_;  // Of the stream, which gets it back.
  const std::unique_ptr<Buffer> buffer_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_CONSOLE_H_
