#include "coordinator/cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "coordinator/cli/environment.h"

namespace foldfarm {

TerminalSize TerminalSizeOf(int fd) {
  TerminalSize size;
  winsize window{};
  if (fd >= 0 && ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
    size.columns = window.ws_col;
    if (window.ws_row > 0) size.rows = window.ws_row;
  }
  return size;
}

std::string Paint(absl::string_view text, Style style, bool colour) {
  const char* code = "";
  switch (style) {
    case Style::kPlain:
      return std::string(text);
    case Style::kHeader:
      code = "1";
      break;
    case Style::kDim:
      code = "2";
      break;
    case Style::kGood:
      code = "32";
      break;
    case Style::kActive:
      code = "36";
      break;
    case Style::kWarning:
      code = "33";
      break;
    case Style::kBad:
      code = "31";
      break;
  }
  if (!colour || text.empty()) return std::string(text);
  return absl::StrCat("\033[", code, "m", text, "\033[0m");
}

Console Console::ForProcess() {
  Console console;
  console.out = &std::cout;
  console.err = &std::cerr;
  console.out_fd = STDOUT_FILENO;
  console.err_fd = STDERR_FILENO;
  console.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  console.err_is_terminal = isatty(STDERR_FILENO) == 1;
  const auto environment = [](const char* name) -> const char* {
    return std::getenv(name);
  };
  console.out_colour = WantsColour(console.out_is_terminal, environment);
  console.err_colour = WantsColour(console.err_is_terminal, environment);
  const bool redraws = CanRedraw(environment);
  console.out_redraws = console.out_is_terminal && redraws;
  console.err_redraws = console.err_is_terminal && redraws;
  console.unicode = IsUtf8(environment);
  return console;
}

std::string Console::Fit(std::string text) const {
  return unicode ? text : ToAscii(text);
}

void Console::Note(absl::string_view text) const {
  *err << Fit(std::string(text)) << std::endl;
}

void Console::Warn(absl::string_view text) const {
  *err << Paint("warning:", Style::kWarning, err_colour) << " "
       << Fit(std::string(text)) << std::endl;
}

void Console::Error(absl::string_view text) const {
  *err << Paint("error:", Style::kBad, err_colour) << " "
       << Fit(std::string(text)) << std::endl;
}

}  // namespace foldfarm
