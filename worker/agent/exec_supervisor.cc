#include "worker/agent/exec_supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "worker/agent/trainer_process.h"

namespace foldfarm {
namespace {

constexpr int kEventsDescriptor = 3;
// supervisor, flag, folder, path, then the program's own argv.
constexpr int kFirstProgramArgument = 4;

// The parent of a process; 0 if it has ended.
pid_t ParentOf(absl::string_view pid) {
  const auto text = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!text.ok()) return 0;
  // "PID (NAME) STATE PPID ...", where the name may hold anything.
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return 0;
  const std::vector<absl::string_view> fields = absl::StrSplit(
      absl::string_view(*text).substr(name_end + 1), ' ', absl::SkipEmpty());
  int parent = 0;
  return fields.size() > 1 && absl::SimpleAtoi(fields[1], &parent) ? parent : 0;
}

void KillChildren() {
  const auto names = ListDirectory("/proc");
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(name, &pid) && ParentOf(name) == getpid()) {
      kill(pid, SIGKILL);
    }
  }
}

// Waits for children and keeps how the program ended.
class Children {
 public:
  explicit Children(pid_t program) : program_(program) {}

  // How the program ended, as waitpid tells it.
  std::optional<int> program_status() const { return program_status_; }

  // Reaps those that have ended; false when there are none at all.
  bool Reap() {
    while (true) {
      const pid_t pid = Wait(WNOHANG);
      if (pid == 0) return true;
      if (pid < 0) return false;
    }
  }

  // Kills the descendants, whose orphans become children, until none is left.
  void KillAll() {
    if (!program_status_.has_value()) kill(-program_, SIGKILL);
    do {
      KillChildren();
    } while (Wait(0) > 0 && Reap());
  }

 private:
  pid_t Wait(int flags) {
    int status = 0;
    pid_t pid;
    do {
      pid = waitpid(-1, &status, flags);
    } while (pid < 0 && errno == EINTR);
    if (pid == program_) program_status_ = status;
    return pid;
  }

  const pid_t program_;
  std::optional<int> program_status_;
};

// Says why the program could not be started; returns the exit status.
int ReportFailedStart(const std::string& path, int error) {
  std::string why = absl::StrCat("cannot start ", path, ": ", strerror(error));
  if (error == ENOEXEC) {
    why += "; a script's first line names its interpreter: #!/usr/bin/python3";
  } else if (error == ENOENT || error == ENOTDIR) {
    why += "; is the interpreter that its first line names there?";
  }
  const std::string line = absl::StrCat(
      JsonText(nlohmann::json{
          {"event", "failed"}, {"code", "INVALID_ARGUMENT"}, {"message", why}}),
      "\n");
  const bool box = error == EAGAIN || error == ENOMEM;
  if (write(kEventsDescriptor, line.data(), line.size()) < 0)
    return kExitFailed;
  return box ? kExitFailed : kExitBadConfiguration;
}

// Ends this process as the program ended.
int EndLike(int status) {
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  sigset_t all;
  sigfillset(&all);
  signal(WTERMSIG(status), SIG_DFL);
  sigprocmask(SIG_UNBLOCK, &all, nullptr);
  kill(getpid(), WTERMSIG(status));
  return kExitFailed;
}

// Runs in the child after fork; returns errno of what failed.
int BecomeProgram(pid_t supervisor, const char* path, char** argv) {
  setpgid(0, 0);
  // Should the supervisor itself be killed, at least the program goes too.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  if (getppid() != supervisor) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execv(path, argv);
  return errno;
}

}  // namespace

std::vector<std::string> SupervisorCommand(
    const std::string& supervisor, const std::string& folder,
    const std::string& path, const std::vector<std::string>& argv) {
  std::vector<std::string> command = {supervisor, kSuperviseFlag, folder, path};
  command.insert(command.end(), argv.begin(), argv.end());
  return command;
}

int SuperviseProgram(int argc, char** argv) {
  if (argc <= kFirstProgramArgument) return kExitBadConfiguration;
  // Outlives the daemon for as long as it takes to kill everything.
  prctl(PR_SET_PDEATHSIG, 0);
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return kExitFailed;
  fcntl(kLeashDescriptor, F_SETFD, FD_CLOEXEC);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGINT, SIG_IGN);
  const int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  int report[2];
  if (signal_fd < 0 || pipe2(report, O_CLOEXEC) != 0) return kExitFailed;

  const std::string path = argv[kFirstProgramArgument - 1];
  const pid_t self = getpid();
  const pid_t program = fork();
  if (program < 0) return ReportFailedStart(path, errno);
  if (program == 0) {
    signal(SIGINT, SIG_DFL);
    const int error =
        BecomeProgram(self, path.c_str(), argv + kFirstProgramArgument);
    _exit(write(report[1], &error, sizeof(error)) < 0 ? 126 : 127);
  }
  setpgid(program, program);
  close(report[1]);
  int error = 0;
  ssize_t size;
  do {
    size = read(report[0], &error, sizeof(error));
  } while (size < 0 && errno == EINTR);
  close(report[0]);
  if (size == static_cast<ssize_t>(sizeof(error))) {
    return ReportFailedStart(path, error);
  }
  // The program's copies are the last ones: its end is heard.
  for (int fd = 0; fd <= kEventsDescriptor; ++fd) close(fd);

  Children children(program);
  bool stopping = false;
  while (true) {
    pollfd fds[] = {{kLeashDescriptor, POLLIN, 0}, {signal_fd, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue;
    if (fds[0].revents != 0) break;
    signalfd_siginfo info;
    while (read(signal_fd, &info, sizeof(info)) ==
           static_cast<ssize_t>(sizeof(info))) {
      if (info.ssi_signo != SIGTERM) continue;
      stopping = true;
      if (!children.program_status().has_value()) kill(-program, SIGTERM);
    }
    const bool any = children.Reap();
    if (!any) break;
    if (!children.program_status().has_value()) continue;
    // Asked to stop, one of its group may be at work on the last checkpoint.
    if (!stopping || kill(-program, 0) != 0) break;
  }
  children.KillAll();
  return EndLike(children.program_status().value_or(SIGKILL));
}

}  // namespace foldfarm
