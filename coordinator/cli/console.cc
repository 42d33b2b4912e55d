#include "coordinator/cli/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
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

// Passes everything on at once.
class CheckedOutput::Buffer : public std::streambuf {
 public:
  explicit Buffer(std::streambuf& to) : to_(to) {}

  int error() const { return error_; }

 protected:
  int_type overflow(int_type c) override {
    if (traits_type::eq_int_type(c, traits_type::eof())) {
      return traits_type::not_eof(c);
    }
    errno = 0;
    const int_type put = to_.sputc(traits_type::to_char_type(c));
    Keep(!traits_type::eq_int_type(put, traits_type::eof()));
    return put;
  }
  std::streamsize xsputn(const char* text, std::streamsize size) override {
    errno = 0;
    const std::streamsize put = to_.sputn(text, size);
    Keep(put == size);
    return put;
  }
  int sync() override {
    errno = 0;
    const int result = to_.pubsync();
    Keep(result == 0);
    return result;
  }

 private:
  void Keep(bool written) {
    if (!written && error_ == 0) error_ = errno;
  }

  std::streambuf& to_;
  int error_ = 0;
};

CheckedOutput::CheckedOutput(std::ostream& stream)
    : stream_(stream),
      former_(stream.rdbuf()),
      buffer_(std::make_unique<Buffer>(*former_)) {
  stream_.rdbuf(buffer_.get());
}

CheckedOutput::~CheckedOutput() { stream_.rdbuf(former_); }

bool CheckedOutput::Flush() {
  stream_.flush();
  return stream_.good();
}

int CheckedOutput::error() const { return buffer_->error(); }

}  // namespace foldfarm
