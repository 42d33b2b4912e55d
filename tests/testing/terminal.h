// A terminal for tests: a program runs on a pseudo-terminal whose screen is
// kept as a real one would keep it.
//
// Knows what this project's programs and line editors write: text, line breaks,
// cursor movement, erasing, the second screen, a hidden cursor. Used by one
// thread, the one that made it.
#ifndef FOLDFARM_TESTS_TESTING_TERMINAL_H_
#define FOLDFARM_TESTS_TESTING_TERMINAL_H_

#include <sys/types.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/subprocess.h"

namespace foldfarm {

// A screen that takes in what a program writes.
class Screen {
 public:
  Screen(int columns, int rows);

  void Write(const std::string& bytes);
  // Cuts or extends; nothing is wrapped anew.
  void Resize(int columns, int rows);

  // Rows from the top, UTF-8, without blanks at their ends and without empty
  // rows at the end.
  std::vector<std::string> Rows() const;
  std::string Text() const;  // The rows, each ended by a line break.
  bool cursor_visible() const { return cursor_visible_; }
  bool on_second_screen() const { return on_second_; }

 private:
  using Cells = std::vector<std::vector<std::string>>;
  void Put(const std::string& letter);
  void NewLine();
  void Control(const std::string& parameters, char final);
  Cells Blank() const;

  int columns_;
  int rows_;
  Cells cells_;
  Cells first_;  // While on the second screen.
  int row_ = 0;
  int column_ = 0;
  int first_row_ = 0, first_column_ = 0;
  bool on_second_ = false;
  bool cursor_visible_ = true;
  std::string pending_;  // An unfinished sequence or letter.
};

class Terminal {
 public:
  // Runs `argv` in a session of its own on a new terminal; `environment` is
  // added to this process's.
  static absl::StatusOr<std::unique_ptr<Terminal>> Run(
      const std::vector<std::string>& argv,
      const std::map<std::string, std::string>& environment, int columns,
      int rows);
  // Kills the program.
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // As if typed: "\x03" is Ctrl-C.
  void Type(const std::string& keys);
  // The kernel sends SIGWINCH.
  void Resize(int columns, int rows);

  // Reads until `condition` holds for the screen; false after 30 s, or when the
  // program ended before.
  bool WaitFor(const std::function<bool(const Screen&)>& condition);
  // The same for a piece of text on the screen.
  bool WaitForText(const std::string& text);
  // Reads to the end; nothing when the program does not end within 30 s.
  std::optional<ExitState> WaitForEnd();

  const Screen& screen() const { return screen_; }
  // All bytes so far.
  const std::string& written() const { return written_; }

 private:
  Terminal(int fd, pid_t pid, int columns, int rows)
      : fd_(fd), pid_(pid), screen_(columns, rows) {}
  // Reads what is there by `deadline`; false at the end of the program.
  bool ReadSome(absl::Duration wait);

  const int fd_;
  const pid_t pid_;
  bool reaped_ = false;
  Screen screen_;
  std::string written_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_TERMINAL_H_
