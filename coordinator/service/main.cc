// foldfarm-coordinator: keeps the jobs, leases them to workers, stores results.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "coordinator/service/server.h"

namespace foldfarm {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

int Run(int argc, char** argv) {
  ServerOptions options;
  double lease_seconds = 30;
  double heartbeat_seconds = 10;
  std::string log_level = "info";
  std::string log_file;
  bool insecure = false;

  CLI::App app(
      "Keeps a farm's sweeps in a folder and leases their jobs to workers.",
      "foldfarm-coordinator");
  app.add_option("--dir", options.directory,
                 "Folder of the database and the artifacts")
      ->required();
  app.add_option("--listen", options.listen, "HOST:PORT; port 0: any free one")
      ->capture_default_str();
  app.add_option("--lease-seconds", lease_seconds,
                 "A worker that is silent for so long loses its jobs")
      ->capture_default_str()
      ->check(CLI::Range(0.1, 86400.0));
  app.add_option("--heartbeat-seconds", heartbeat_seconds,
                 "How often workers report; below a third of the lease")
      ->capture_default_str()
      ->check(CLI::Range(0.02, 86400.0));
  app.add_flag("--insecure", insecure,
               "Listen beyond this machine without encryption");
  app.add_option("--log-level", log_level,
                 "trace, debug, info, warning, error or off")
      ->capture_default_str();
  app.add_option("--log-file", log_file,
                 "Append log lines here, not to stderr");
  app.footer(
      "Example:\n"
      "  foldfarm-coordinator --dir /var/lib/foldfarm --listen "
      "127.0.0.1:7077\n\n"
      "Ready when it prints \"listening on HOST:PORT\"; DIR/endpoint says the "
      "same.\nSIGTERM stops it; workers train on and come back.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  const auto fail = [](const absl::Status& status, int code) {
    std::fprintf(stderr, "foldfarm-coordinator: %s\n",
                 std::string(status.message()).c_str());
    return code;
  };
  if (absl::Status status =
          InitLog("foldfarm-coordinator", log_level, log_file);
      !status.ok()) {
    return fail(status, kExitUsage);
  }
  const auto address = ParseEndpoint(options.listen);
  if (!address.ok()) return fail(address.status(), kExitUsage);
  if (!IsLoopback(address->first) && !insecure) {
    return fail(
        absl::InvalidArgumentError(absl::StrCat(
            "--listen ", options.listen,
            " is open to other machines without encryption or passwords; say "
            "--insecure if the network is trusted, or listen on 127.0.0.1")),
        kExitUsage);
  }
  if (heartbeat_seconds > lease_seconds / 2) {
    return fail(absl::InvalidArgumentError(
                    absl::StrCat("--heartbeat-seconds is ", heartbeat_seconds,
                                 ", expected at most half of --lease-seconds (",
                                 lease_seconds, ")")),
                kExitUsage);
  }
  options.queue.lease_duration = absl::Seconds(lease_seconds);
  options.queue.heartbeat_interval = absl::Seconds(heartbeat_seconds);

  // Signals are taken one by one below; no thread of gRPC may get them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  auto server = CoordinatorServer::Start(options, Clock::Real());
  if (!server.ok()) return fail(server.status(), kExitFailed);
  std::printf("listening on %s\n", (*server)->endpoint().c_str());
  std::fflush(stdout);
  SPDLOG_INFO("listening on {}, dir={}", (*server)->endpoint(),
              options.directory);
  int got = 0;
  sigwait(&signals, &got);
  SPDLOG_INFO("signal={} stopping", got);
  server->reset();
  SPDLOG_INFO("stopped");
  return 0;
}

}  // namespace
}  // namespace foldfarm

int main(int argc, char** argv) { return foldfarm::Run(argc, argv); }
