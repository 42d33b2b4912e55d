// How fast the farm's queue is, in one run: jobs a second, how soon a submitted
// job starts, heartbeats, uploads, restarts, and leasing from a full database.
//
// Everything is the real thing: foldfarm-coordinator as a process of its own
// with its default settings (WAL, synchronous=FULL: a reply means that it is on
// disk), gRPC over TCP on loopback, attempts and fencing included. A job is one
// FinishAttempt with a checked result, which brings the next lease in the same
// transaction. Only training costs nothing here.
//
// Prints a line for each measurement as it comes and a table at the end, beside
// what other queues reach on a machine of two cores. Those figures were
// measured once, on another day and machine: the first lines say what this disk
// and gRPC alone do today, and two peers are measured in the same run:
// beanstalkd, where it is installed, and a bare queue over gRPC and SQLite
// (bare_peer.h).
#include <CLI/CLI.hpp>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "tests/bench/bare_peer.h"
#include "tests/bench/beanstalk_peer.h"
#include "tests/bench/queue_farm.h"
#include "tests/bench/queue_measures.h"
#include "tests/bench/rpc_speed.h"

namespace foldfarm {
namespace {

int Run(int argc, char** argv) {
  // As the coordinator.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  if (argc == 3 && std::strcmp(argv[1], BarePeer::kServe) == 0) {
    return BarePeer::Serve(argv[2]);
  }
  if (argc == 3 && std::strcmp(argv[1], kServeEcho) == 0) {
    return ServeEcho(argv[2]);
  }
  std::vector<int> workers = {1, 8, 64};
  int jobs = 10000, rounds = 300, repeats = 3;
  int beating = 1000, megabytes = 512, full_jobs = 100000;
  int metric_rows = 1000000;
  std::string directory, beanstalkd = "/usr/bin/beanstalkd";
  CLI::App app("Measures the coordinator's queue.", "queue_bench");
  app.add_option("--workers", workers, "Stub workers, one run each")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--jobs", jobs, "Jobs of a throughput run, at most 20000")
      ->capture_default_str()
      ->check(CLI::Range(200, 20000));
  app.add_option("--repeats", repeats, "Throughput runs, each on a new farm")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  app.add_option("--rounds", rounds, "Submissions of a latency run; 0: none")
      ->capture_default_str();
  app.add_option("--beating", beating, "Workers that beat; 0: none")
      ->capture_default_str();
  app.add_option("--megabytes", megabytes, "Size of the upload; 0: none")
      ->capture_default_str();
  app.add_option("--full-jobs", full_jobs, "Jobs of the full database; 0: none")
      ->capture_default_str();
  app.add_option("--metric-rows", metric_rows,
                 "Rows of metrics of the full database")
      ->capture_default_str();
  app.add_option("--dir", directory,
                 "Folder on the disk to measure (default: a temporary one)");
  app.add_option("--beanstalkd", beanstalkd,
                 "Program of the peer; not there: no peer")
      ->capture_default_str();
  app.footer("Example:\n  queue_bench --workers 1,8,64 --dir /var/tmp");
  CLI11_PARSE(app, argc, argv);
  if (!InitLog("queue_bench", "warning").ok()) return 1;
  const std::string folder =
      directory.empty() ? OrDie(MakeTemporaryDirectory("foldfarm-queue-bench-"))
                        : JoinPath(directory, NewRandomId());
  DieUnlessOk(MakeDirectories(folder));
  if (!BeanstalkPeer::Available(beanstalkd)) beanstalkd.clear();
  // Sweeps have two folds.
  QueueMeasures bench(folder, beanstalkd, jobs + jobs % 2, rounds, repeats);
  bench.Disk();
  bench.Rpc();
  const std::map<int, std::string> rates = {
      {1,
       "2,500; beanstalkd with fsync 1,684, PostgreSQL (graphile-worker) 975, "
       "Celery on Redis with fsync 462, gRPC + SQLite prototype 2,582"},
      {8,
       "8,000; beanstalkd with fsync 1,778, PostgreSQL 2,622, Celery 319, "
       "prototype 8,144"},
      {64, "10,000; prototype with 16 workers 12,132"}};
  const std::map<int, std::string> starts = {
      {1,
       "1 / 5 ms; beanstalkd 0.34 / 0.47, PostgreSQL 1.42 / 2.90, Celery 1.98 "
       "/ 3.90, prototype 0.99 / 3.2"},
      {8,
       "1 / 5 ms; beanstalkd 0.36 / 0.48, PostgreSQL 1.52 / 5.01, Celery 2.34 "
       "/ 4.47, prototype 1.24 / 3.4"},
      {64, "1 / 5 ms"}};
  const auto find = [](const std::map<int, std::string>& map, int key) {
    const auto it = map.find(key);
    return it == map.end() ? std::string() : it->second;
  };
  for (const int count : workers) {
    bench.Throughput(count, find(rates, count));
    bench.PeerThroughput(count);
    bench.BareThroughput(count);
  }
  for (const int count : workers) {
    if (rounds <= 0) break;
    bench.Latency(count, find(starts, count));
    bench.PeerLatency(count);
    bench.BareLatency(count);
  }
  if (beating > 0) bench.Heartbeats(beating);
  if (megabytes > 0) bench.Uploads(megabytes);
  if (full_jobs > 0) bench.Full(full_jobs, metric_rows, workers);
  bench.PrintTable();
  RemoveRecursively(folder).IgnoreError();
  return 0;
}

}  // namespace
}  // namespace foldfarm

int main(int argc, char** argv) { return foldfarm::Run(argc, argv); }
