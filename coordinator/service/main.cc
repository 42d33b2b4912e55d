// foldfarm-coordinator: keeps the jobs, leases them to workers, stores results.
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/option_checks.h"
#include "common/base/signals.h"
#include "common/base/status_macros.h"
#include "common/rpc/certificates.h"
#include "common/rpc/client_access.h"
#include "common/rpc/grpc_log.h"
#include "common/rpc/tokens.h"
#include "coordinator/service/server.h"
#include "coordinator/web/http_access.h"
#include "coordinator/web/web_server.h"

namespace foldfarm {
namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 2;

// What an open port lacks, and how to get it.
std::string AdviceForOpenPort(const CertificateFiles& tls,
                              const std::string& token_file) {
  return absl::StrCat(
      "and ",
      tls.empty() && token_file.empty() ? "has neither TLS nor tokens"
      : tls.empty()                     ? "has no TLS"
                                        : "asks for no tokens",
      ".\nEither\n",
      tls.empty()
          ? "  deploy/certs $(hostname)          makes a CA and a certificate; "
            "give --tls-cert and --tls-key\n"
          : "",
      token_file.empty() ? "  foldfarm token new --role client --name me "
                           "--add-to tokens    gives --tokens tokens\n"
                         : "",
      "or listen on 127.0.0.1 and come through `ssh -L`,\n"
      "or say --insecure if everybody on the network is trusted.\n"
      "deploy/README.md, \"Across machines\", has all the steps");
}

absl::Status AddTls(const CertificateFiles& tls, ServerOptions& options) {
  if (tls.empty() != tls.key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(tls.empty() ? "--tls-key" : "--tls-cert",
                     " is given alone; --tls-cert and --tls-key go together"));
  }
  if (tls.empty()) {
    if (tls.client_ca.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "--tls-client-ca is of no use without --tls-cert and --tls-key");
  }
  FOLDFARM_ASSIGN_OR_RETURN(options.credentials,
                            MakeServerTls(tls, Clock::Real().Now()));
  return absl::OkStatus();
}

// Every worker and everyone who watches holds a connection; the usual soft
// limit of 1,024 files would be theirs. The hard limit may be a billion.
void RaiseFileLimit() {
  constexpr rlim_t kEnough = 1 << 16;
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, kEnough);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Run(int argc, char** argv) {
  ServerOptions options;
  WebOptions web_options;
  std::string http_token_file;
  double lease_seconds = 30;
  double heartbeat_seconds = 10;
  std::string log_level = "info";
  std::string log_file;
  bool insecure = false;
  CertificateFiles tls;
  std::string token_file;
  double max_artifact_gib = 64;

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
      ->check(InRange(0.1, 86400));
  app.add_option("--heartbeat-seconds", heartbeat_seconds,
                 "How often workers report; at most half of the lease")
      ->capture_default_str()
      ->check(InRange(0.02, 86400));
  app.add_option("--http", web_options.listen,
                 "Serve the page, /metrics and /healthz at HOST:PORT, e.g. "
                 "127.0.0.1:7078; off unless given. Beyond this machine it is "
                 "HTTPS with the certificate of --tls-cert; without one only "
                 "--insecure opens it");
  app.add_option("--http-token-file", http_token_file,
                 "Whoever knows the token in this file may cancel and retry on "
                 "the page; without it the page only shows");
  double max_store_gib = 0;
  double spare_gib = 0.25;
  bool skip_check = false;
  double gc_hours = 24;
  app.add_option("--max-store", max_store_gib,
                 "GiB of artifacts that are stored at most; 0: as there is "
                 "room. Uploads beyond are refused")
      ->capture_default_str()
      ->check(AtLeast(0));
  app.add_option("--spare", spare_gib,
                 "GiB that uploads leave free on the disk for the database")
      ->capture_default_str()
      ->check(AtLeast(0));
  app.add_option("--gc-hours", gc_hours,
                 "Delete artifacts that nothing names at start and so often; "
                 "0: only foldfarm gc does")
      ->capture_default_str()
      ->check(AtLeast(0));
  app.add_flag("--skip-check", skip_check,
               "Do not read the database for damage at start");
  app.add_flag("--allow-network-fs", options.store.allow_network_file_system,
               "DIR may be on a network file system: no other host uses it");
  app.add_option("--tls-cert", tls.certificate,
                 "Certificate to show, PEM; deploy/certs makes one. Read again "
                 "when it changes");
  app.add_option("--tls-key", tls.key, "Its private key, PEM");
  app.add_option("--tls-client-ca", tls.client_ca,
                 "Only clients and workers with a certificate of this CA may "
                 "connect");
  app.add_option("--tokens", token_file,
                 "Only callers with a token of this file may call; `foldfarm "
                 "token new` fills it. Read again when it changes, and at "
                 "SIGHUP");
  app.add_flag("--insecure", insecure,
               "Listen beyond this machine without encryption or tokens");
  app.add_option("--max-artifact", max_artifact_gib,
                 "Largest file that is stored, in GiB")
      ->capture_default_str()
      ->check(InRange(0.001, 1048576));
  app.add_option("--max-streams", options.max_streams,
                 "Sweeps and logs that are followed at a time; more are "
                 "refused")
      ->capture_default_str()
      ->check(InRange(1, 1000000));
  app.add_option("--log-level", log_level,
                 "trace, debug, info, warning, error or off")
      ->capture_default_str();
  app.add_option("--log-file", log_file,
                 "Append log lines here, not to stderr");
  app.set_version_flag("--version", FOLDFARM_VERSION);
  app.footer(
      "Example:\n"
      "  foldfarm-coordinator --dir /var/lib/foldfarm --listen "
      "127.0.0.1:7077 \\\n"
      "      --http 127.0.0.1:7078\n"
      "  foldfarm-coordinator --dir /var/lib/foldfarm --listen 0.0.0.0:7077 "
      "\\\n"
      "      --tls-cert head.crt --tls-key head.key --tokens tokens\n\n"
      "Ready when it prints \"listening on HOST:PORT\"; DIR/endpoint says the "
      "same, and\nDIR/http_endpoint where the page is. SIGTERM stops it; "
      "workers "
      "train on and come back.");
  app.failure_message([](const CLI::App* refusing, const CLI::Error& error) {
    return ExplainParseError(*refusing, error);
  });
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
  SetGrpcLog();
  for (const auto& [flag, listen] : {std::pair("--listen", options.listen),
                                     std::pair("--http", web_options.listen)}) {
    if (listen.empty()) continue;
    const auto address = ParseEndpoint(listen);
    if (!address.ok()) {
      return fail(Annotate(address.status(), flag), kExitUsage);
    }
    const bool open = !IsLoopbackHost(address->first);
    if (open && !insecure && (tls.empty() || token_file.empty())) {
      return fail(absl::InvalidArgumentError(absl::StrCat(
                      flag, " ", listen, " is open to other machines, ",
                      AdviceForOpenPort(tls, token_file))),
                  kExitUsage);
    }
  }
  // On loopback the page is for this machine's tools and for `ssh -L`.
  if (const auto page = ParseEndpoint(web_options.listen);
      page.ok() && !IsLoopbackHost(page->first)) {
    web_options.tls = tls;
  }
  if (!http_token_file.empty() && !token_file.empty()) {
    return fail(absl::InvalidArgumentError(
                    "--http-token-file and --tokens are both given; with "
                    "--tokens the page takes those, a token of the role client "
                    "for changes"),
                kExitUsage);
  }
  std::unique_ptr<TokenStore> tokens;
  if (!token_file.empty()) {
    auto opened = TokenStore::Open(token_file, Clock::Real());
    if (!opened.ok()) {
      return fail(Annotate(opened.status(), "--tokens"), kExitUsage);
    }
    tokens = *std::move(opened);
    options.tokens = web_options.tokens = tokens.get();
  }
  if (absl::Status status = AddTls(tls, options); !status.ok()) {
    return fail(status, kExitUsage);
  }
  options.artifacts.max_size_bytes =
      static_cast<int64_t>(max_artifact_gib * (int64_t{1} << 30));
  if (!http_token_file.empty()) {
    if (web_options.listen.empty()) {
      return fail(absl::InvalidArgumentError(
                      "--http-token-file is of no use without --http"),
                  kExitUsage);
    }
    auto token = ReadHttpToken(http_token_file);
    if (!token.ok()) {
      return fail(Annotate(token.status(), "--http-token-file"), kExitUsage);
    }
    web_options.token = *std::move(token);
  }
  if (heartbeat_seconds > lease_seconds / 2) {
    return fail(absl::InvalidArgumentError(
                    absl::StrCat("--heartbeat-seconds is ", heartbeat_seconds,
                                 ", expected at most half of --lease-seconds (",
                                 lease_seconds, ")")),
                kExitUsage);
  }
  constexpr double kGib = 1 << 30;
  constexpr double kMostGib = 1e9;  // Whose bytes are still an int64_t.
  options.artifacts.max_bytes =
      static_cast<int64_t>(std::min(max_store_gib, kMostGib) * kGib);
  options.artifacts.spare_bytes =
      static_cast<int64_t>(std::min(spare_gib, kMostGib) * kGib);
  options.store.check_integrity = !skip_check;
  if (gc_hours > 0) options.garbage_interval = absl::Hours(gc_hours);
  options.queue.lease_duration = absl::Seconds(lease_seconds);
  options.queue.heartbeat_interval = absl::Seconds(heartbeat_seconds);
  options.queue.stall = options.queue.lease_duration / 2;

  RaiseFileLimit();
  // Signals are taken one by one below; no thread of gRPC may get them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  AddUnlessIgnored(SIGINT, signals);
  if (tokens != nullptr) {
    sigaddset(&signals, SIGHUP);
  } else {
    AddUnlessIgnored(SIGHUP, signals);
  }
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  auto server = CoordinatorServer::Start(options, Clock::Real());
  if (!server.ok()) return fail(server.status(), kExitFailed);
  std::unique_ptr<WebServer> web;
  if (!web_options.listen.empty()) {
    web_options.directory = options.directory;
    auto started = WebServer::Start(web_options, **server, Clock::Real());
    if (!started.ok()) return fail(started.status(), kExitFailed);
    web = *std::move(started);
    if (absl::Status status =
            WriteFileAtomically(JoinPath(options.directory, "http_endpoint"),
                                absl::StrCat(web->endpoint(), "\n"));
        !status.ok()) {
      return fail(status, kExitFailed);
    }
    SPDLOG_INFO("page at {}", web->url());
  }
  std::printf("listening on %s\n", (*server)->endpoint().c_str());
  std::fflush(stdout);
  SPDLOG_INFO("listening on {}, dir={}", (*server)->endpoint(),
              options.directory);
  int got = 0;
  while (sigwait(&signals, &got) != 0 || (got == SIGHUP && tokens != nullptr)) {
    if (got != SIGHUP) continue;
    if (const absl::Status status = tokens->Reload(); status.ok()) {
      SPDLOG_INFO("tokens={} read again", token_file);
    } else {
      SPDLOG_ERROR("tokens stay as they were: {}",
                   std::string(status.message()));
    }
  }
  SPDLOG_INFO("signal={} stopping", got);
  // Wakes the pages' streams, so that they end.
  (*server)->queue().StopWaiting();
  web.reset();
  server->reset();
  SPDLOG_INFO("stopped");
  return 0;
}

}  // namespace
}  // namespace foldfarm

int main(int argc, char** argv) { return foldfarm::Run(argc, argv); }
