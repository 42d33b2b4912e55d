#include "common/base/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"

extern char** environ;

namespace foldfarm {
namespace {

// The path that execvp would find; looked up before fork, where it is safe.
absl::StatusOr<std::string> FindProgram(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (access(name.c_str(), X_OK) != 0) {
      return ErrnoStatus(name, "cannot execute");
    }
    return name;
  }
  const char* path = std::getenv("PATH");
  for (absl::string_view directory :
       absl::StrSplit(path == nullptr ? "/usr/bin:/bin" : path, ':')) {
    std::string candidate = JoinPath(directory, name);
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return absl::NotFoundError(absl::StrCat(name, ": not found in PATH"));
}

std::vector<std::string> MergedEnvironment(
    const std::map<std::string, std::string>& changes, bool clear) {
  std::vector<std::string> merged;
  for (char** entry = environ; !clear && *entry != nullptr; ++entry) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(*entry, absl::MaxSplits('=', 1));
    if (changes.count(std::string(parts.first)) == 0) {
      merged.emplace_back(*entry);
    }
  }
  for (const auto& [name, value] : changes) {
    merged.push_back(absl::StrCat(name, "=", value));
  }
  return merged;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Runs in the child between fork and exec: only async-signal-safe calls.
// Returns errno of what failed.
int SetUpChild(pid_t parent, const char* directory,
               std::vector<std::pair<int, int>>& descriptors) {
  setpgid(0, 0);
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  if (getppid() != parent) _exit(127);  // It died before prctl.
  if (directory != nullptr && chdir(directory) != 0) return errno;
  // First out of the way of every target, then into place.
  int floor = 3;
  for (const auto& [to, from] : descriptors) floor = std::max(floor, to + 1);
  for (auto& [to, from] : descriptors) {
    from = fcntl(from, F_DUPFD_CLOEXEC, floor);
    if (from < 0) return errno;
  }
  const int null = open("/dev/null", O_RDONLY);
  if (null >= 0 && null != 0) {
    dup2(null, 0);
    close(null);
  }
  for (const auto& [to, from] : descriptors) {
    if (dup2(from, to) < 0) return errno;
  }
  for (int fd = 3; fd < floor; ++fd) {
    bool wanted = false;
    for (const auto& [to, from] : descriptors) wanted = wanted || to == fd;
    if (!wanted) fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  // close_range with CLOEXEC: what nobody named dies with exec.
  syscall(SYS_close_range, floor, ~0U, /*CLOSE_RANGE_CLOEXEC=*/4U);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  for (int number : {SIGINT, SIGTERM, SIGPIPE, SIGHUP, SIGCHLD}) {
    signal(number, SIG_DFL);
  }
  return 0;
}

ExitState Decode(int status, const rusage& usage) {
  ExitState state;
  state.peak_memory_bytes = int64_t{usage.ru_maxrss} * 1024;
  for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
    state.cpu_seconds += static_cast<double>(time.tv_sec) +
                         static_cast<double>(time.tv_usec) * 1e-6;
  }
  if (WIFSIGNALED(status)) {
    state.signal = WTERMSIG(status);
  } else {
    state.exit_status = WEXITSTATUS(status);
  }
  return state;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Subprocess>> Subprocess::Spawn(
    const SubprocessOptions& options) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string program,
                            FindProgram(options.argv.at(0)));
  std::vector<std::string> arguments = options.argv;
  std::vector<std::string> environment =
      MergedEnvironment(options.environment, options.clear_environment);
  std::vector<char*> argv = Pointers(arguments);
  std::vector<char*> envp = Pointers(environment);
  std::vector<std::pair<int, int>> descriptors(options.descriptors.begin(),
                                               options.descriptors.end());
  const char* directory = options.working_directory.empty()
                              ? nullptr
                              : options.working_directory.c_str();
  // Carries errno of a failed exec; closed by a successful one.
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) return ErrnoStatus(program, "pipe");
  descriptors.reserve(descriptors.size() + 1);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    const absl::Status status = ErrnoStatus(program, "cannot fork");
    close(report[0]);
    close(report[1]);
    return status;
  }
  if (pid == 0) {
    // Move the report out of the way of the targets as well.
    int high = fcntl(report[1], F_DUPFD_CLOEXEC, 1000);
    if (high < 0) high = report[1];
    int error = SetUpChild(parent, directory, descriptors);
    if (error == 0) {
      execve(program.c_str(), argv.data(), envp.data());
      error = errno;
    }
    if (write(high, &error, sizeof(error)) < 0) _exit(126);
    _exit(127);
  }
  setpgid(pid, pid);  // Also here: a signal may come before the child ran.
  close(report[1]);
  int error = 0;
  ssize_t n;
  do {
    n = read(report[0], &error, sizeof(error));
  } while (n < 0 && errno == EINTR);
  close(report[0]);
  if (n == static_cast<ssize_t>(sizeof(error))) {
    waitpid(pid, nullptr, 0);
    errno = error;
    return ErrnoStatus(program, "cannot start");
  }
  return std::unique_ptr<Subprocess>(new Subprocess(pid));
}

Subprocess::~Subprocess() {
  if (exit_.has_value()) return;
  Signal(SIGKILL);
  Wait();
}

std::optional<ExitState> Subprocess::Poll() {
  if (exit_.has_value()) return exit_;
  int status = 0;
  rusage usage{};
  if (wait4(pid_, &status, WNOHANG, &usage) == pid_) {
    exit_ = Decode(status, usage);
  }
  return exit_;
}

ExitState Subprocess::Wait() {
  if (exit_.has_value()) return *exit_;
  int status = 0;
  rusage usage{};
  while (wait4(pid_, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  exit_ = Decode(status, usage);
  return *exit_;
}

void Subprocess::Signal(int signal) {
  if (!exit_.has_value()) kill(-pid_, signal);
}

std::string ProgramDirectory() {
  char path[PATH_MAX];
  const ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
  return n <= 0 ? "."
                : DirectoryOf(absl::string_view(path, static_cast<size_t>(n)));
}

}  // namespace foldfarm
