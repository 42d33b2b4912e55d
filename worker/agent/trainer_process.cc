#include "worker/agent/trainer_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"
#include "worker/agent/exec_supervisor.h"

namespace foldfarm {
namespace {

constexpr size_t kMaxEventLine = 1 << 20;
constexpr size_t kMaxLogLine = 4096;
// For a supervisor to kill all that its program started.
constexpr absl::Duration kSupervisorGrace = absl::Seconds(10);

// Processes that the kernel killed for want of memory since boot; -1 if it
// does not say. Counts kills in memory cgroups as well.
int64_t OutOfMemoryKills() {
  const absl::StatusOr<std::string> text = ReadFile("/proc/vmstat");
  if (!text.ok()) return -1;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    int64_t count = 0;
    if (absl::ConsumePrefix(&line, "oom_kill ") &&
        absl::SimpleAtoi(line, &count)) {
      return count;
    }
  }
  return -1;
}

// A pipe that the trainer writes and we read as lines.
class Input {
 public:
  static absl::StatusOr<std::unique_ptr<Input>> Create(
      size_t max_line, LineSplitter::Callback callback) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus("pipe", "cannot create");
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    return std::unique_ptr<Input>(
        new Input(fds[0], fds[1], max_line, std::move(callback)));
  }

  ~Input() {
    if (read_fd_ >= 0) close(read_fd_);
    CloseWriter();
  }

  int read_fd() const { return read_fd_; }  // -1 after the end.
  int write_fd() const { return write_fd_; }

  void CloseWriter() {
    if (write_fd_ >= 0) close(write_fd_);
    write_fd_ = -1;
  }

  // Takes what is there, at most 1 MiB, so that a babbling trainer does not
  // keep us from its other pipe or from a stop.
  void Read() {
    char buffer[1 << 16];
    for (int i = 0; i < 16 && read_fd_ >= 0; ++i) {
      const ssize_t n = read(read_fd_, buffer, sizeof(buffer));
      if (n > 0) {
        lines_.Append(absl::string_view(buffer, static_cast<size_t>(n)));
      } else if (n == 0) {
        Close();
      } else if (errno != EINTR) {
        return;
      }
    }
  }

  void Close() {
    if (read_fd_ < 0) return;
    close(read_fd_);
    read_fd_ = -1;
    lines_.Finish();
  }

 private:
  Input(int read_fd, int write_fd, size_t max_line,
        LineSplitter::Callback callback)
      : read_fd_(read_fd),
        write_fd_(write_fd),
        lines_(max_line, std::move(callback)) {}
  int read_fd_;
  int write_fd_;
  LineSplitter lines_;
};

// The supervisor's leash: while our end is open the program may live.
class Leash {
 public:
  static absl::StatusOr<std::unique_ptr<Leash>> Create() {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus("pipe", "cannot create");
    return std::unique_ptr<Leash>(new Leash(fds[0], fds[1]));
  }
  ~Leash() {
    LetGo();
    CloseOtherEnd();
  }

  int other_end() const { return fds_[0]; }
  void CloseOtherEnd() { Close(fds_[0]); }
  void LetGo() { Close(fds_[1]); }

 private:
  Leash(int read_fd, int write_fd) : fds_{read_fd, write_fd} {}
  static void Close(int& fd) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
  int fds_[2];
};

// Carries a stop from the control to the process: SIGTERM once, SIGKILL when
// the grace is over. Running too long is a stop as well.
class Stopper {
 public:
  // `leash` is nullptr for a process without a supervisor.
  Stopper(const TrainerOptions& options, AttemptControl& control, Clock& clock,
          Subprocess& process, Leash* leash)
      : options_(options),
        control_(control),
        clock_(clock),
        process_(process),
        leash_(leash),
        started_at_(clock.Monotonic()) {}

  bool killed() const { return killed_at_.has_value(); }
  bool timed_out() const { return timed_out_; }

  // Does what is due; returns the time until something else may be.
  absl::Duration Step() {
    const absl::Duration now = clock_.Monotonic();
    if (killed_at_.has_value()) return AwaitSupervisor(now);
    StopReason reason = control_.reason();
    if (reason == StopReason::kNone) {
      const absl::Duration left = started_at_ + options_.timeout - now;
      if (left > absl::ZeroDuration()) return left;
      timed_out_ = true;
      reason = StopReason::kCancel;
    }
    if (!asked_at_.has_value()) {
      asked_at_ = now;
      if (reason != StopReason::kAbandon) process_.Signal(SIGTERM);
    }
    absl::Duration grace = absl::ZeroDuration();
    if (reason == StopReason::kDrain) grace = options_.drain_grace;
    if (reason == StopReason::kCancel) grace = options_.cancel_grace;
    const absl::Duration left = *asked_at_ + grace - now;
    if (left > absl::ZeroDuration()) return left;
    killed_at_ = now;
    if (leash_ == nullptr) {
      process_.Signal(SIGKILL);
      return absl::InfiniteDuration();
    }
    leash_->LetGo();
    return kSupervisorGrace;
  }

 private:
  // A supervisor that cannot do its work must not hold up the daemon.
  absl::Duration AwaitSupervisor(absl::Duration now) {
    if (leash_ == nullptr) return absl::InfiniteDuration();
    const absl::Duration left = *killed_at_ + kSupervisorGrace - now;
    if (left > absl::ZeroDuration()) return left;
    process_.Signal(SIGKILL);
    return absl::InfiniteDuration();
  }

  const TrainerOptions& options_;
  AttemptControl& control_;
  Clock& clock_;
  Subprocess& process_;
  Leash* const leash_;
  const absl::Duration started_at_;
  std::optional<absl::Duration> asked_at_;
  std::optional<absl::Duration> killed_at_;
  bool timed_out_ = false;
};

SubprocessOptions CommandFor(const TrainerOptions& options) {
  SubprocessOptions command;
  command.working_directory = options.folder;
  if (options.exec.has_value()) {
    command.argv = SupervisorCommand(options.supervisor, options.folder,
                                     options.exec->path, options.exec->argv);
    command.environment = options.exec->environment;
    command.clear_environment = true;
    return command;
  }
  command.argv = {options.program, "attempt", options.folder};
  const std::string threads = absl::StrCat(options.threads);
  for (const char* name :
       {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) {
    command.environment[name] = threads;
  }
  return command;
}

}  // namespace

absl::StatusOr<TrainerExit> RunTrainer(const TrainerOptions& options,
                                       AttemptControl& control, Clock& clock,
                                       TrainerListener& listener) {
  const auto log_lines = [&listener](absl::string_view level) {
    return [&listener, level](absl::string_view line, bool) {
      listener.OnLine(level, CleanText(line, kMaxLogLine));
    };
  };
  std::string misunderstood;
  FOLDFARM_ASSIGN_OR_RETURN(
      auto events,
      Input::Create(kMaxEventLine, [&](absl::string_view line, bool) {
        if (line.empty()) return;
        const absl::StatusOr<TrainerEvent> event = ParseTrainerEvent(line);
        misunderstood = std::string(event.status().message());
        if (event.ok()) {
          listener.OnEvent(*event);
        } else {
          listener.OnLine("warning", std::string(event.status().message()));
        }
      }));
  FOLDFARM_ASSIGN_OR_RETURN(auto out,
                            Input::Create(kMaxLogLine, log_lines("info")));
  FOLDFARM_ASSIGN_OR_RETURN(auto err,
                            Input::Create(kMaxLogLine, log_lines("error")));
  SubprocessOptions command = CommandFor(options);
  command.descriptors = {
      {1, out->write_fd()}, {2, err->write_fd()}, {3, events->write_fd()}};
  std::unique_ptr<Leash> leash;
  if (options.exec.has_value()) {
    FOLDFARM_ASSIGN_OR_RETURN(leash, Leash::Create());
    command.descriptors[kLeashDescriptor] = leash->other_end();
  }
  const int64_t kills_before = OutOfMemoryKills();
  FOLDFARM_ASSIGN_OR_RETURN(auto process, Subprocess::Spawn(command));
  Input* const inputs[] = {events.get(), out.get(), err.get()};
  for (Input* input : inputs) input->CloseWriter();
  if (leash != nullptr) leash->CloseOtherEnd();

  // Readable when the child ended; -1 on a kernel before 5.3, then we look.
  const int exit_fd =
      static_cast<int>(syscall(SYS_pidfd_open, process->pid(), 0));
  control.SetProcess(process->pid());
  Stopper stopper(options, control, clock, *process, leash.get());
  while (!process->Poll().has_value()) {
    absl::Duration wait = stopper.Step();
    if (exit_fd < 0) wait = std::min(wait, absl::Milliseconds(100));
    // A timeout of days is more than poll takes.
    const int wait_ms = wait == absl::InfiniteDuration()
                            ? -1
                            : static_cast<int>(absl::ToInt64Milliseconds(
                                  std::min(wait, absl::Hours(1)))) +
                                  1;
    pollfd fds[] = {{control.wake_fd(), POLLIN, 0},
                    {exit_fd, POLLIN, 0},
                    {events->read_fd(), POLLIN, 0},
                    {out->read_fd(), POLLIN, 0},
                    {err->read_fd(), POLLIN, 0}};
    if (poll(fds, 5, wait_ms) < 0) continue;
    if (fds[0].revents != 0) control.ClearWake();
    for (Input* input : inputs) input->Read();
  }
  control.SetProcess(0);
  if (exit_fd >= 0) close(exit_fd);
  // What it wrote before its end is in the pipes; a grandchild that still
  // holds them is not waited for.
  for (Input* input : inputs) {
    input->Read();
    input->Close();
  }
  TrainerExit exit;
  exit.state = *process->Poll();
  control.NoteUsage({.memory_bytes = 0,
                     .peak_memory_bytes = exit.state.peak_memory_bytes,
                     .cpu_seconds = exit.state.cpu_seconds});
  exit.out_of_memory = exit.state.signal == SIGKILL && !stopper.killed() &&
                       OutOfMemoryKills() > kills_before;
  exit.timed_out = stopper.timed_out();
  exit.misunderstood = misunderstood;
  return exit;
}

}  // namespace foldfarm
