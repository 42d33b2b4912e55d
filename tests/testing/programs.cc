#include "tests/testing/programs.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"
#include "common/rpc/retry.h"

namespace foldfarm {

absl::StatusOr<std::string> OutputOf(const std::vector<std::string>& argv) {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus("pipe", "cannot create");
  SubprocessOptions command;
  command.argv = argv;
  command.descriptors = {{1, fds[1]}, {2, fds[1]}};
  auto process = Subprocess::Spawn(command);
  close(fds[1]);
  std::string text;
  char buffer[1 << 14];
  while (process.ok()) {
    const ssize_t n = read(fds[0], buffer, sizeof(buffer));
    if (n == 0 || (n < 0 && errno != EINTR)) break;
    if (n > 0) text.append(buffer, static_cast<size_t>(n));
  }
  close(fds[0]);
  FOLDFARM_RETURN_IF_ERROR(process.status());
  const ExitState exit = (*process)->Wait();
  if (exit.exit_status == 0 && exit.signal == 0) return text;
  return absl::InternalError(
      absl::StrCat(absl::StrJoin(argv, " "), ": exit status ", exit.exit_status,
                   ", signal ", exit.signal, ": ", text));
}

bool PollUntil(absl::Duration patience,
               const std::function<bool()>& condition) {
  Clock& clock = Clock::Real();
  const absl::Duration end = clock.Monotonic() + patience;
  while (!condition()) {
    if (clock.Monotonic() >= end) return false;
    WaitUnlessCancelled(clock, absl::Milliseconds(20), [] { return false; });
  }
  return true;
}

uint32_t ChaosSeed() {
  static const uint32_t seed = [] {
    const int chosen = FromEnvironment("FOLDFARM_CHAOS_SEED", 1);
    std::cout << "seed " << chosen << " (FOLDFARM_CHAOS_SEED)" << std::endl;
    return static_cast<uint32_t>(chosen);
  }();
  return seed;
}

int FromEnvironment(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  int number = 0;
  if (text == nullptr || !absl::SimpleAtoi(text, &number) || number < 1) {
    return otherwise;
  }
  return number;
}

void CountForSummary(absl::string_view name, int64_t count) {
  const char* path = std::getenv("FOLDFARM_CHAOS_TALLY");
  if (path == nullptr || *path == '\0') return;
  const std::string line = absl::StrCat(name, " ", count, "\n");
  const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, line.data(), line.size()) < 0) {
    std::cerr << path << ": cannot count " << line;
  }
  if (fd >= 0) close(fd);
}

}  // namespace foldfarm
