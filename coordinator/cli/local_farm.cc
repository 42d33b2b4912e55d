#include "coordinator/cli/local_farm.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/backoff.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/rpc/retry.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kStartTimeout = absl::Seconds(20);
// What our daemons end with when they cannot start as they are told: no other
// start goes better.
constexpr int kExitOfUsage = 2;
// A child that lived for so long did not die of how it was started.
constexpr absl::Duration kHealthyLife = absl::Minutes(5);
constexpr BackoffPolicy kRestartBackoff{.initial = absl::Milliseconds(500),
                                        .max = absl::Seconds(10),
                                        .multiplier = 2.0,
                                        .jitter = 0.0};

void Pause(Clock& clock, absl::Duration duration) {
  WaitUnlessCancelled(clock, duration, [] { return false; });
}

std::string Describe(const ExitState& state) {
  if (state.signal != 0) return absl::StrCat("killed by signal ", state.signal);
  return absl::StrCat("ended with status ", state.exit_status);
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalFarm>> LocalFarm::Start(
    const LocalFarmOptions& options, Clock& clock) {
  std::unique_ptr<LocalFarm> farm(new LocalFarm(options, clock));
  const std::string logs = JoinPath(options.directory, "logs");
  const std::string home = JoinPath(options.directory, "coordinator");
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(logs));
  FOLDFARM_RETURN_IF_ERROR(MakeDirectories(home));
  // A former run's would be taken for this one's.
  const std::string endpoint = JoinPath(home, "endpoint");
  if (std::remove(endpoint.c_str()) != 0 && FileExists(endpoint)) {
    return ErrnoStatus(endpoint, "cannot remove");
  }
  Child& child = farm->coordinator_;
  child.name = "coordinator";
  child.log = JoinPath(logs, "coordinator.log");
  child.argv = {JoinPath(options.programs, "foldfarm-coordinator"), "--dir",
                home, "--listen", "127.0.0.1:0"};
  FOLDFARM_RETURN_IF_ERROR(farm->Launch(child));
  FOLDFARM_RETURN_IF_ERROR(farm->WaitForEndpoint());
  child.argv.back() = farm->address_;
  return farm;
}

LocalFarm::~LocalFarm() { Stop(absl::Seconds(10)); }

absl::Status LocalFarm::Launch(Child& child) {
  const int log =
      open(child.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return ErrnoStatus(child.log, "cannot open");
  child.log_begin = FileSize(child.log).value_or(0);
  SubprocessOptions options;
  options.argv = child.argv;
  options.descriptors = {{1, log}, {2, log}};
  auto process = Subprocess::Spawn(options);
  close(log);
  if (!process.ok()) return process.status();
  child.process = *std::move(process);
  child.started = clock_.Monotonic();
  return absl::OkStatus();
}

absl::Status LocalFarm::WaitForEndpoint() {
  const std::string path =
      JoinPath(JoinPath(options_.directory, "coordinator"), "endpoint");
  const absl::Duration end = clock_.Monotonic() + kStartTimeout;
  while (true) {
    if (FileExists(path)) {
      FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
      address_ = std::string(absl::StripAsciiWhitespace(text));
      if (!address_.empty()) return absl::OkStatus();
    }
    if (const auto exit = coordinator_.process->Poll()) {
      return absl::InternalError(absl::StrCat(
          "the coordinator ", Describe(*exit), ":\n", LogTail(coordinator_)));
    }
    if (clock_.Monotonic() > end) {
      return absl::InternalError(absl::StrCat(
          "the coordinator did not listen within ",
          absl::FormatDuration(kStartTimeout), ":\n", LogTail(coordinator_)));
    }
    Pause(clock_, absl::Milliseconds(20));
  }
}

absl::Status LocalFarm::StartWorkers() {
  for (int i = 1; i <= options_.workers; ++i) {
    Child& child = workers_.emplace_back();
    child.name = absl::StrCat("worker-", i);
    child.log = JoinPath(JoinPath(options_.directory, "logs"),
                         absl::StrCat(child.name, ".log"));
    child.argv = {JoinPath(options_.programs, "foldfarm-worker"),
                  "--coordinator",
                  address_,
                  "--name",
                  child.name,
                  "--slots",
                  "1",
                  "--threads",
                  absl::StrCat(options_.threads),
                  "--device",
                  options_.device,
                  "--dir",
                  JoinPath(options_.directory, "cache")};
    if (!options_.trainer.empty()) {
      child.argv.insert(child.argv.end(), {"--trainer", options_.trainer});
    }
    if (options_.allow_exec) child.argv.push_back("--allow-exec");
    FOLDFARM_RETURN_IF_ERROR(Launch(child));
  }
  return absl::OkStatus();
}

// Starts a dead child again when its time has come. Returns what happened, or
// "".
absl::StatusOr<std::string> LocalFarm::Revive(Child& child) {
  if (child.process != nullptr) {
    const auto exit = child.process->Poll();
    if (!exit.has_value()) return "";
    child.process.reset();
    if (exit->signal == 0 && exit->exit_status == kExitOfUsage) {
      return absl::FailedPreconditionError(
          absl::StrCat(child.name, " ", Describe(*exit),
                       ", for it cannot run as it was started; the end of ",
                       child.log, ":\n", LogTail(child)));
    }
    if (clock_.Monotonic() - child.started > kHealthyLife) child.restarts = 0;
    if (child.restarts >= options_.max_restarts) {
      return absl::InternalError(absl::StrCat(
          child.name, " ", Describe(*exit), " after ", child.restarts,
          " restarts; the end of ", child.log, ":\n", LogTail(child)));
    }
    ++child.restarts;
    child.start_after =
        clock_.Monotonic() + BackoffDelay(kRestartBackoff, child.restarts, 0.5);
    return absl::StrCat(child.name, " ", Describe(*exit),
                        "; it is started again (see ", child.log, ")");
  }
  if (clock_.Monotonic() >= child.start_after) {
    FOLDFARM_RETURN_IF_ERROR(Launch(child));
  }
  return "";
}

absl::StatusOr<std::vector<std::string>> LocalFarm::Supervise() {
  std::vector<std::string> events;
  FOLDFARM_ASSIGN_OR_RETURN(std::string event, Revive(coordinator_));
  if (!event.empty()) events.push_back(std::move(event));
  if (draining_) return events;
  for (Child& worker : workers_) {
    FOLDFARM_ASSIGN_OR_RETURN(event, Revive(worker));
    if (!event.empty()) events.push_back(std::move(event));
  }
  return events;
}

void LocalFarm::Drain() {
  draining_ = true;
  for (Child& worker : workers_) {
    if (worker.process != nullptr) worker.process->Signal(SIGTERM);
  }
}

int LocalFarm::LiveWorkers() {
  return static_cast<int>(
      std::count_if(workers_.begin(), workers_.end(), [](Child& worker) {
        return worker.process != nullptr && !worker.process->Poll().has_value();
      }));
}

void LocalFarm::Await(Child& child, absl::Duration patience) {
  if (child.process == nullptr) return;
  const absl::Duration end = clock_.Monotonic() + patience;
  while (!child.process->Poll().has_value() && clock_.Monotonic() < end) {
    Pause(clock_, absl::Milliseconds(20));
  }
  child.process.reset();  // Kills what still runs.
}

void LocalFarm::Stop(absl::Duration patience) {
  if (!draining_) Drain();
  for (Child& worker : workers_) Await(worker, patience);
  workers_.clear();
  if (coordinator_.process != nullptr) coordinator_.process->Signal(SIGTERM);
  Await(coordinator_, patience);
}

std::string LocalFarm::LogTail(const Child& child) const {
  constexpr size_t kLines = 10;
  const absl::StatusOr<std::string> text = ReadFile(child.log);
  if (!text.ok()) return std::string(text.status().message());
  // What it said since it was started last.
  const absl::string_view said = absl::string_view(*text).substr(
      std::min(text->size(), static_cast<size_t>(child.log_begin)));
  std::vector<absl::string_view> lines =
      absl::StrSplit(absl::StripTrailingAsciiWhitespace(said), '\n');
  const size_t first = lines.size() > kLines ? lines.size() - kLines : 0;
  return absl::StrJoin(lines.begin() + static_cast<std::ptrdiff_t>(first),
                       lines.end(), "\n");
}

}  // namespace foldfarm
