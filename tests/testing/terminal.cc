#include "tests/testing/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "common/base/clock.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);

// Bytes of the UTF-8 letter that begins with `first`.
size_t LetterLength(char first) {
  const auto byte = static_cast<unsigned char>(first);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

}  // namespace

Screen::Screen(int columns, int rows) : columns_(columns), rows_(rows) {
  cells_ = Blank();
}

Screen::Cells Screen::Blank() const {
  return Cells(static_cast<size_t>(rows_),
               std::vector<std::string>(static_cast<size_t>(columns_), " "));
}

void Screen::Resize(int columns, int rows) {
  columns_ = columns;
  rows_ = rows;
  for (Cells* cells : {&cells_, &first_}) {
    cells->resize(static_cast<size_t>(rows));
    for (auto& row : *cells) row.resize(static_cast<size_t>(columns), " ");
  }
  row_ = std::min(row_, rows - 1);
  column_ = std::min(column_, columns - 1);
}

void Screen::NewLine() {
  if (row_ + 1 < rows_) {
    ++row_;
    return;
  }
  cells_.erase(cells_.begin());
  cells_.emplace_back(static_cast<size_t>(columns_), " ");
}

void Screen::Put(const std::string& letter) {
  if (column_ >= columns_) {
    column_ = 0;
    NewLine();
  }
  cells_[row_][column_++] = letter;
}

void Screen::Control(const std::string& parameters, char final) {
  const std::vector<std::string> parts = absl::StrSplit(
      parameters.substr(parameters.find_first_not_of('?') == parameters.npos
                            ? parameters.size()
                            : parameters.find_first_not_of('?')),
      ';');
  const auto number = [&](size_t i, int other) {
    int value = 0;
    return i < parts.size() && absl::SimpleAtoi(parts[i], &value) ? value
                                                                  : other;
  };
  const auto erase = [&](int row, int from, int to) {
    for (int c = from; c < to; ++c) cells_[row][c].assign(1, ' ');
  };
  switch (final) {
    case 'A':
      row_ = std::max(0, row_ - number(0, 1));
      break;
    case 'B':
      row_ = std::min(rows_ - 1, row_ + number(0, 1));
      break;
    case 'C':
      column_ = std::min(columns_ - 1, column_ + number(0, 1));
      break;
    case 'D':
      column_ = std::max(0, column_ - number(0, 1));
      break;
    case 'H':
      row_ = std::clamp(number(0, 1) - 1, 0, rows_ - 1);
      column_ = std::clamp(number(1, 1) - 1, 0, columns_ - 1);
      break;
    case 'J':
      if (number(0, 0) == 2) {
        cells_ = Blank();
      } else {
        erase(row_, std::min(column_, columns_), columns_);
        for (int r = row_ + 1; r < rows_; ++r) erase(r, 0, columns_);
      }
      break;
    case 'K':
      // After the last column the cursor still stands on it.
      erase(row_, std::min(column_, columns_ - 1), columns_);
      break;
    case 'h':
    case 'l':
      if (parameters == "?25") cursor_visible_ = final == 'h';
      if (parameters == "?1049" && on_second_ != (final == 'h')) {
        on_second_ = final == 'h';
        if (on_second_) {
          first_ = cells_;
          first_row_ = row_;
          first_column_ = column_;
          cells_ = Blank();
        } else {
          cells_ = first_;
          row_ = std::min(first_row_, rows_ - 1);
          column_ = std::min(first_column_, columns_ - 1);
        }
      }
      break;
    default:
      break;  // Colours and the like.
  }
}

void Screen::Write(const std::string& bytes) {
  const std::string text = pending_ + bytes;
  pending_.clear();
  size_t i = 0;
  while (i < text.size()) {
    const char c = text[i];
    if (c == '\033') {
      if (i + 1 >= text.size()) break;
      if (text[i + 1] == ']') {  // A title, up to a bell.
        const size_t end = text.find('\a', i);
        if (end == text.npos) break;
        i = end + 1;
        continue;
      }
      if (text[i + 1] != '[') {
        i += 2;
        continue;
      }
      size_t end = i + 2;
      while (end < text.size() && (text[end] < '@' || text[end] > '~')) ++end;
      if (end >= text.size()) break;
      Control(text.substr(i + 2, end - i - 2), text[end]);
      i = end + 1;
    } else if (c == '\r') {
      column_ = 0;
      ++i;
    } else if (c == '\n') {
      NewLine();
      ++i;
    } else if (c == '\b') {
      column_ = std::max(0, column_ - 1);
      ++i;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      ++i;
    } else {
      const size_t length = LetterLength(c);
      if (i + length > text.size()) break;
      Put(text.substr(i, length));
      i += length;
    }
  }
  pending_ = text.substr(i);
}

std::vector<std::string> Screen::Rows() const {
  std::vector<std::string> rows;
  for (const auto& cells : cells_) {
    std::string row;
    for (const std::string& cell : cells) row += cell;
    row.erase(row.find_last_not_of(' ') + 1);
    rows.push_back(row);
  }
  while (!rows.empty() && rows.back().empty()) rows.pop_back();
  return rows;
}

std::string Screen::Text() const {
  std::string text;
  for (const std::string& row : Rows()) text += row + "\n";
  return text;
}

absl::StatusOr<std::unique_ptr<Terminal>> Terminal::Run(
    const std::vector<std::string>& argv,
    const std::map<std::string, std::string>& environment, int columns,
    int rows) {
  winsize size = {};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(rows);
  std::vector<char*> arguments;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  int fd = -1;
  const pid_t pid = forkpty(&fd, nullptr, nullptr, &size);
  if (pid < 0) return absl::ErrnoToStatus(errno, "forkpty");
  if (pid == 0) {
    for (const auto& [name, value] : environment) {
      setenv(name.c_str(), value.c_str(), 1);
    }
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  return std::unique_ptr<Terminal>(new Terminal(fd, pid, columns, rows));
}

Terminal::~Terminal() {
  if (!reaped_) {
    kill(-pid_, SIGKILL);
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(fd_);
}

void Terminal::Type(const std::string& keys) {
  size_t at = 0;
  while (at < keys.size()) {
    const ssize_t n = write(fd_, keys.data() + at, keys.size() - at);
    if (n <= 0) return;
    at += static_cast<size_t>(n);
  }
}

void Terminal::Resize(int columns, int rows) {
  // What was written for the former size is on the screen before.
  ReadSome(absl::ZeroDuration());
  winsize size = {};
  size.ws_col = static_cast<unsigned short>(columns);
  size.ws_row = static_cast<unsigned short>(rows);
  screen_.Resize(columns, rows);
  ioctl(fd_, TIOCSWINSZ, &size);
}

bool Terminal::ReadSome(absl::Duration wait) {
  pollfd entry = {fd_, POLLIN, 0};
  const int ready =
      poll(&entry, 1, static_cast<int>(absl::ToInt64Milliseconds(wait)));
  if (ready <= 0) return true;
  char buffer[4096];
  const ssize_t n = read(fd_, buffer, sizeof(buffer));
  if (n <= 0) return false;  // EIO: nobody holds the other end any more.
  const std::string bytes(buffer, static_cast<size_t>(n));
  written_ += bytes;
  screen_.Write(bytes);
  return true;
}

bool Terminal::WaitFor(const std::function<bool(const Screen&)>& condition) {
  const absl::Duration end = Clock::Real().Monotonic() + kPatience;
  while (!condition(screen_)) {
    const absl::Duration left = end - Clock::Real().Monotonic();
    if (left <= absl::ZeroDuration() || !ReadSome(left)) {
      return condition(screen_);
    }
  }
  return true;
}

bool Terminal::WaitForText(const std::string& text) {
  return WaitFor([&](const Screen& screen) {
    return absl::StrContains(screen.Text(), text);
  });
}

std::optional<ExitState> Terminal::WaitForEnd() {
  const absl::Duration end = Clock::Real().Monotonic() + kPatience;
  while (true) {
    const absl::Duration left = end - Clock::Real().Monotonic();
    if (left <= absl::ZeroDuration()) return std::nullopt;
    if (!ReadSome(left)) break;
  }
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) return std::nullopt;
  reaped_ = true;
  ExitState state;
  if (WIFSIGNALED(status)) state.signal = WTERMSIG(status);
  if (WIFEXITED(status)) state.exit_status = WEXITSTATUS(status);
  return state;
}

}  // namespace foldfarm
