// foldfarm-worker: the daemon on each box that trains.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/base/option_checks.h"
#include "common/base/signals.h"
#include "common/base/status_macros.h"
#include "common/base/subprocess.h"
#include "common/rpc/channel.h"
#include "common/rpc/client_access.h"
#include "common/rpc/grpc_log.h"
#include "worker/agent/agent.h"
#include "worker/agent/exec_supervisor.h"
#include "worker/agent/grpc_worker_api.h"
#include "worker/agent/trainer_devices.h"

namespace foldfarm {
namespace {

namespace fs = std::filesystem;

constexpr char kDescription[] =
    R"(Trains the farm's jobs on this box: takes leases from the coordinator, starts a
trainer for each and sends back metrics, checkpoints and results.)";

constexpr char kFooter[] = R"(
Examples:
  foldfarm-worker                                   # one job at a time, here
  foldfarm-worker --coordinator farm:7077 --device cuda:0,cuda:1
  foldfarm-worker --coordinator farm:7077 --tls-ca ca.crt --token-file gpu1.token
  foldfarm-worker --slots 4 --threads 2             # four jobs, two threads each
  foldfarm-worker --exit-when-idle 60 --max-jobs 8  # in a batch queue
  foldfarm-worker --time-limit 4h                   # on a machine lent till then
  foldfarm-worker --allow-exec                      # your own programs too

While the coordinator is away training goes on and results are delivered later.
SIGTERM, Ctrl-C or a closed terminal drains: trainers write a checkpoint, which
is uploaded, and the jobs go back to the farm uncharged. A second signal, half a
second later or more, kills at once.

With --allow-exec give the worker a user or a container of its own: a program
can read and write whatever the worker can. It sees a clean environment, and
nothing that it starts outlives its attempt.

Exit status: 0 drained, 1 failed or killed, 2 usage, 3 no coordinator answered
for as long as --exit-when-idle or --time-limit allows.)";

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;
constexpr int kExitUnreachable = 3;  // As of `foldfarm`.

struct Flags {
  std::string coordinator = "127.0.0.1:7077";
  ClientAccess access;
  std::string name;
  int slots = 0;
  std::string device = "auto";
  int threads = 0;
  std::string dir;
  std::string trainer;
  bool allow_exec = false;
  int max_jobs = 0;
  double exit_when_idle = 0;
  std::string time_limit;
  double cache_gib = 20;
  double drain_timeout = 60;
  std::string log_level = "info";
  std::string log_file;
};

std::string HostName() {
  char name[256] = {0};
  gethostname(name, sizeof(name) - 1);
  return name[0] == '\0' ? "localhost" : name;
}

std::string DefaultDirectory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return JoinPath(cache, "foldfarm");
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return JoinPath(home, ".cache/foldfarm");
  return absl::StrCat("/var/tmp/foldfarm-", getuid());
}

void AddFlags(CLI::App& app, Flags& flags) {
  app.add_option("--coordinator", flags.coordinator, "HOST:PORT to work for")
      ->envname("FOLDFARM_COORDINATOR")
      ->capture_default_str();
  AddAccessFlags(app, flags.access);
  app.add_option("--name", flags.name,
                 "Name on the farm, unique (default HOST-PID)");
  app.add_option("--slots", flags.slots,
                 "Jobs at a time (default one a device)")
      ->check(InRange(1, 1024));
  app.add_option("--device", flags.device, "auto, cpu, or GPUs: cuda:0,cuda:1")
      ->capture_default_str();
  app.add_option("--threads", flags.threads,
                 "CPU threads a slot (default cores / slots)")
      ->check(InRange(1, 1024));
  app.add_option("--dir", flags.dir,
                 "Folder for cached datasets and scratch files (default "
                 "$XDG_CACHE_HOME/foldfarm or ~/.cache/foldfarm)")
      ->take_last();
  app.add_option("--trainer", flags.trainer,
                 "Program that trains (default foldfarm-trainer beside this "
                 "one)");
  app.add_flag("--allow-exec", flags.allow_exec,
               "Also take jobs that run users' own programs (arch: exec). "
               "Whoever may submit a sweep then runs any command here, with "
               "this worker's rights");
  app.add_option("--max-jobs", flags.max_jobs,
                 "Exit after so many jobs (default: never)")
      ->check(MoreThan(0));
  app.add_option("--exit-when-idle", flags.exit_when_idle,
                 "Exit after so many seconds without a job (default: never)")
      ->check(MoreThan(0));
  app.add_option("--time-limit", flags.time_limit,
                 "Drain in time to exit after so long, e.g. 90m or 4h; jobs "
                 "that reach no checkpoint before are not taken (default: no "
                 "limit)");
  app.add_option("--cache-size", flags.cache_gib,
                 "GiB of datasets to keep in --dir; what was not used for "
                 "longest goes first")
      ->check(AtLeast(0))
      ->capture_default_str();
  app.add_option(
         "--drain-timeout", flags.drain_timeout,
         "Seconds after SIGTERM to hand everything back in; at most half "
         "of --time-limit")
      ->check(MoreThan(0))
      ->capture_default_str();
  app.add_option("--log-level", flags.log_level,
                 "trace, debug, info, warning, error or off")
      ->capture_default_str();
  app.add_option("--log-file", flags.log_file,
                 "Append log lines to this file (default: stderr)");
  app.set_version_flag("--version", FOLDFARM_VERSION);
  app.footer(kFooter);
}

absl::StatusOr<AgentOptions> ToOptions(const Flags& flags) {
  AgentOptions options;
  options.host = HostName();
  options.name = flags.name.empty() ? absl::StrCat(options.host, "-", getpid())
                                    : flags.name;
  if (!IsValidName(options.name, 100)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--name: got \"", options.name,
        "\", expected letters, digits, '.', '_' and '-', at most 100"));
  }
  options.version = FOLDFARM_VERSION;
  // Absolute, as trainers run in folders of their own.
  std::error_code error;
  options.trainer = fs::absolute(
      flags.trainer.empty() ? JoinPath(ProgramDirectory(), "foldfarm-trainer")
                            : flags.trainer,
      error);
  options.dir =
      fs::absolute(flags.dir.empty() ? DefaultDirectory() : flags.dir, error);
  if (error) {
    return absl::InternalError(
        absl::StrCat("cannot name the current folder: ", error.message()));
  }
  FOLDFARM_ASSIGN_OR_RETURN(options.devices,
                            UsableDevices(flags.device, options.trainer,
                                          flags.allow_exec, Clock::Real()));
  options.slots =
      flags.slots > 0 ? flags.slots : static_cast<int>(options.devices.size());
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  options.threads_per_slot =
      flags.threads > 0 ? flags.threads : std::max(1, cores / options.slots);
  options.allow_exec = flags.allow_exec;
  options.max_jobs = flags.max_jobs;
  if (flags.exit_when_idle > 0) {
    options.exit_when_idle = absl::Seconds(flags.exit_when_idle);
  }
  options.drain_timeout = absl::Seconds(flags.drain_timeout);
  options.max_cache_bytes =
      static_cast<int64_t>(std::min(flags.cache_gib, 1e9) * (1 << 30));
  if (!flags.time_limit.empty() &&
      (!absl::ParseDuration(flags.time_limit, &options.time_limit) ||
       options.time_limit <= absl::ZeroDuration())) {
    return absl::InvalidArgumentError(
        absl::StrCat("--time-limit: got \"", flags.time_limit,
                     "\", expected a duration such as 30s, 90m or 4h"));
  }
  return options;
}

// A signal that comes so soon after the first is the same one: timeout(1) sends
// it to the worker and to its group.
constexpr absl::Duration kSameSignal = absl::Milliseconds(500);

// Drains with the first SIGTERM, SIGINT or SIGHUP and kills with the second,
// until a SIGUSR1 finds it `done`; of a terminal that is closed SIGHUP may come
// twice.
// REQUIRES: all that are in `signals` are blocked in every thread.
void WatchSignals(const sigset_t& signals, const std::atomic<bool>& done,
                  Agent& agent) {
  std::optional<absl::Duration> draining_since;
  while (true) {
    siginfo_t info;
    const int number = sigwaitinfo(&signals, &info);
    if (number < 0) continue;
    if (number == SIGUSR1) {
      if (done) return;
      SPDLOG_WARN("{} of process {}: means nothing here", strsignal(number),
                  info.si_pid);
      continue;
    }
    const absl::Duration now = Clock::Real().Monotonic();
    if (!draining_since.has_value()) {
      SPDLOG_INFO("{}: draining; once more kills at once", strsignal(number));
      draining_since = now;
      agent.Drain();
    } else if (number != SIGHUP && now - *draining_since >= kSameSignal) {
      SPDLOG_WARN("second {}: killing", strsignal(number));
      agent.Kill();
    }
  }
}

int Main(int argc, char** argv) {
  // Before any thread exists, gRPC's included.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGUSR1}) sigaddset(&signals, number);
  // Also of a terminal that is closed.
  for (const int number : {SIGINT, SIGHUP}) AddUnlessIgnored(number, signals);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  CLI::App app(kDescription, "foldfarm-worker");
  Flags flags;
  AddFlags(app, flags);
  app.failure_message([](const CLI::App* refusing, const CLI::Error& error) {
    return ExplainParseError(*refusing, error);
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (const absl::Status status =
          InitLog("worker", flags.log_level, flags.log_file);
      !status.ok()) {
    std::cerr << "foldfarm-worker: " << status.message() << "\n";
    return kExitUsage;
  }
  SetGrpcLog();
  const absl::StatusOr<AgentOptions> options = ToOptions(flags);
  if (!options.ok()) {
    std::cerr << "foldfarm-worker: " << options.status().message() << "\n";
    return kExitUsage;
  }
  if (const absl::Status status = CheckEndpoint(flags.coordinator);
      !status.ok()) {
    std::cerr << "foldfarm-worker: --coordinator: " << status.message() << "\n";
    return kExitUsage;
  }
  const absl::StatusOr<FarmChannel> channel =
      ToFarmChannel(flags.access, flags.coordinator);
  if (!channel.ok()) {
    std::cerr << "foldfarm-worker: " << channel.status().message() << "\n";
    return kExitUsage;
  }
  GrpcWorkerApi api(MakeChannel(flags.coordinator, *channel), flags.coordinator,
                    Clock::Real(), *channel);
  auto agent = Agent::Create(*options, api, Clock::Real());
  if (!agent.ok()) {
    std::cerr << "foldfarm-worker: " << agent.status().message() << "\n";
    return kExitFailed;
  }
  std::atomic<bool> done = false;
  std::thread watcher([&] { WatchSignals(signals, done, **agent); });
  const absl::Status status = (*agent)->Run();
  done = true;
  kill(getpid(), SIGUSR1);
  watcher.join();
  if (status.ok()) return 0;
  const bool unreachable = absl::IsUnavailable(status);
  std::cerr << "foldfarm-worker: "
            << (unreachable ? absl::StrCat(flags.coordinator, ": ") : "")
            << status.message() << "\n";
  return unreachable ? kExitUnreachable : kExitFailed;
}

}  // namespace
}  // namespace foldfarm

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], foldfarm::kSuperviseFlag) == 0) {
    return foldfarm::SuperviseProgram(argc, argv);
  }
  return foldfarm::Main(argc, argv);
}
