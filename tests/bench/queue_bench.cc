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
// does today, and beanstalkd, where it is installed, is measured in the same
// run.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/channel.h"
#include "tests/bench/bare_peer.h"
#include "tests/bench/beanstalk_peer.h"
#include "tests/bench/figure_table.h"
#include "tests/bench/flush_speed.h"
#include "tests/bench/queue_farm.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(120);

class QueueBench {
 public:
  // `beanstalkd` is the peer's program; empty: no peer.
  QueueBench(std::string directory, std::string beanstalkd, int jobs,
             int rounds, int repeats)
      : directory_(std::move(directory)),
        beanstalkd_(std::move(beanstalkd)),
        jobs_(jobs),
        rounds_(rounds),
        repeats_(repeats) {}

  void Disk() {
    for (const FlushSpeed& speed : MeasureFlushes(directory_)) {
      std::printf("disk fdatasync %s 4 KiB: p50 %.3f ms, p99 %.3f ms\n",
                  speed.way.c_str(), speed.p50_ms, speed.p99_ms);
      const std::string figure =
          absl::StrFormat("%.2f / %.2f ms", speed.p50_ms, speed.p99_ms);
      if (speed.way == "overwrite") {
        Note("fdatasync of 4 KiB, p50 / p99", figure,
             "0.11 / 0.21 ms (the day of the others)");
      } else if (speed.way == "idle") {
        Note("the same after 5 ms of nothing", figure, "");
      }
    }
  }

  void Throughput(int workers, const std::string& others) {
    double best = 0;
    std::vector<double> rates;
    for (int repeat = 0; repeat < repeats_; ++repeat) {
      BenchFarm farm(directory_);
      farm.Submit((jobs_ + 1) / 2);
      rates.push_back(Cycle(farm, workers, jobs_, "throughput"));
      best = std::max(best, rates.back());
    }
    Note(absl::StrCat("jobs/s, ", workers,
                      workers == 1 ? " worker" : " workers"),
         absl::StrFormat("%.0f (median of %d; best %.0f)",
                         Percentile(rates, 0.5), repeats_, best),
         others);
  }

  // The peer's, right after ours and as often.
  void PeerThroughput(int workers) {
    if (beanstalkd_.empty()) return;
    std::vector<double> rates;
    for (int repeat = 0; repeat < repeats_; ++repeat) {
      BeanstalkPeer peer(beanstalkd_, directory_);
      rates.push_back(peer.JobsPerSecond(workers, jobs_));
      std::printf("beanstalkd workers=%d jobs=%d jobs_per_second=%.0f\n",
                  workers, jobs_, rates.back());
      std::fflush(stdout);
    }
    Note(
        "", "",
        absl::StrFormat("beanstalkd -f 0 today: %.0f", Percentile(rates, 0.5)));
  }

  // What gRPC and SQLite leave room for, as often.
  void BareThroughput(int workers) {
    std::vector<double> rates;
    for (int repeat = 0; repeat < repeats_; ++repeat) {
      BarePeer peer(directory_, jobs_);
      rates.push_back(peer.JobsPerSecond(workers));
      std::printf("bare_grpc_sqlite workers=%d jobs=%d jobs_per_second=%.0f\n",
                  workers, jobs_, rates.back());
      std::fflush(stdout);
    }
    Note("", "",
         absl::StrFormat("bare gRPC + SQLite today: %.0f",
                         Percentile(rates, 0.5)));
  }

  void PeerLatency(int workers) {
    if (beanstalkd_.empty()) return;
    BeanstalkPeer peer(beanstalkd_, directory_);
    const std::vector<double> starts = peer.StartSeconds(workers, rounds_);
    Note("", "",
         absl::StrFormat("beanstalkd -f 0 today: p50 %.2f ms, p99 %.2f ms",
                         1e3 * Percentile(starts, 0.5),
                         1e3 * Percentile(starts, 0.99)));
  }

  // How soon a job of a submitted sweep of two runs on one of idle workers.
  void Latency(int workers, const std::string& others) {
    BenchFarm farm(directory_);
    StubWorkers stubs(farm, workers);
    std::vector<double> starts, acks;
    double begun = 0, started = 0, acked = 0;
    int finished = 0;
    std::function<void(int)> work = [&](int worker) {
      stubs.Acquire(worker, [&, worker](const v1::Lease& lease) {
        if (started == 0) started = Now() - begun;
        stubs.Finish(worker, lease, false, [&, worker](const auto&) {
          ++finished;
          work(worker);
        });
      });
    };
    for (int i = 0; i < workers; ++i) work(i);
    for (int round = 0; round < rounds_; ++round) {
      // Idle: everybody is back in AcquireLeases.
      absl::SleepFor(absl::Milliseconds(5));
      started = acked = 0;
      finished = 0;
      begun = Now();
      stubs.Submit(1, [&] { acked = Now() - begun; });
      while (acked == 0 || finished < 2) stubs.Next();
      starts.push_back(started);
      acks.push_back(acked);
    }
    std::printf(
        "latency workers=%d rounds=%d submit_to_start_p50_ms=%.3f "
        "submit_to_start_p99_ms=%.3f submit_ack_p50_ms=%.3f "
        "submit_ack_p99_ms=%.3f\n",
        workers, rounds_, 1e3 * Percentile(starts, 0.5),
        1e3 * Percentile(starts, 0.99), 1e3 * Percentile(acks, 0.5),
        1e3 * Percentile(acks, 0.99));
    std::fflush(stdout);
    Note(absl::StrCat("submit -> start, ", workers,
                      workers == 1 ? " idle worker" : " idle workers"),
         absl::StrFormat("p50 %.2f ms, p99 %.2f ms",
                         1e3 * Percentile(starts, 0.5),
                         1e3 * Percentile(starts, 0.99)),
         others);
  }

  // Every worker has a heartbeat under way at all times.
  void Heartbeats(int workers) {
    BenchFarm farm(directory_);
    farm.Submit((workers + 1) / 2);
    StubWorkers stubs(farm, workers);
    std::vector<int64_t> tokens(static_cast<size_t>(workers));
    int held = 0;
    for (int i = 0; i < workers; ++i) {
      stubs.Acquire(i, [&, i](const v1::Lease& lease) {
        tokens[static_cast<size_t>(i)] = lease.token();
        ++held;
      });
    }
    while (held < workers) stubs.Next();
    constexpr int kRounds = 20;
    std::vector<double> seconds;
    std::function<void(int, int)> beat = [&](int worker, int left) {
      if (left == 0) return;
      const double begin = Now();
      stubs.Heartbeat(worker, tokens[static_cast<size_t>(worker)],
                      [&, worker, left, begin] {
                        seconds.push_back(Now() - begin);
                        beat(worker, left - 1);
                      });
    };
    const double cpu = farm.CpuSeconds();
    const double begin = Now();
    for (int i = 0; i < workers; ++i) beat(i, kRounds);
    const size_t all = static_cast<size_t>(workers) * kRounds;
    while (seconds.size() < all) stubs.Next();
    const double rate = static_cast<double>(all) / (Now() - begin);
    std::printf(
        "heartbeats workers=%d per_second=%.0f p50_ms=%.2f p99_ms=%.2f "
        "coordinator_cpu_us=%.1f\n",
        workers, rate, 1e3 * Percentile(seconds, 0.5),
        1e3 * Percentile(seconds, 0.99),
        1e6 * (farm.CpuSeconds() - cpu) / static_cast<double>(all));
    std::fflush(stdout);
    Note(absl::StrCat("heartbeats/s, ", workers, " workers"),
         absl::StrFormat("%.0f", rate),
         absl::StrCat("needed: ", workers / 10, " (one each 10 s)"));
  }

  void Uploads(int megabytes) {
    BenchFarm farm(directory_);
    const std::string path = JoinPath(directory_, "upload");
    {
      // Bytes that no disk can compress: a generator of numbers.
      std::string bytes(static_cast<size_t>(megabytes) << 20, '\0');
      uint64_t x = 88172645463325252u;
      for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        std::memcpy(&bytes[i], &x, 8);
      }
      DieUnlessOk(WriteFileDurably(path, bytes));
    }
    const std::string copy = path + ".copy";
    double begin = Now();
    if (std::system(absl::StrCat("cp ", path, " ", copy, " && sync -d ", copy,
                                 " && sha256sum ", copy, " >/dev/null")
                        .c_str()) != 0) {
      DieUnlessOk(absl::InternalError("cp or sha256sum failed"));
    }
    const double copied = Now() - begin;
    begin = Now();
    OrDie(UploadFile(farm.artifacts(), path));
    const double uploaded = Now() - begin;
    unlink(path.c_str());
    unlink(copy.c_str());
    std::printf("upload megabytes=%d mb_per_second=%.0f cp_sha256sum=%.0f\n",
                megabytes, megabytes / uploaded, megabytes / copied);
    std::fflush(stdout);
    Note(
        "upload, digest checked at both ends, flushed",
        absl::StrFormat("%.0f MiB/s", megabytes / uploaded),
        absl::StrFormat("cp, sync, sha256sum: %.0f MiB/s", megabytes / copied));
  }

  // A database of `jobs` jobs that wait and `rows` rows of metrics: starting,
  // and leasing from it.
  void Full(int jobs, int rows, const std::vector<int>& workers) {
    BenchFarm farm(directory_);
    constexpr int kSweepJobs = 10000;
    for (int i = 0; i < jobs; i += kSweepJobs) {
      farm.Submit(std::min(kSweepJobs, jobs - i) / 2);
    }
    AddMetrics(farm, rows);
    for (const bool clean : {true, false}) {
      const double seconds = farm.Restart(clean);
      const std::string how = clean ? "a clean stop" : "kill -9";
      std::printf("restart after=%s jobs=%d metric_rows=%d seconds=%.3f\n",
                  clean ? "stop" : "kill", jobs, rows, seconds);
      std::fflush(stdout);
      Note(absl::StrCat("restart after ", how, ", ", jobs, " jobs waiting"),
           absl::StrFormat("%.2f s", seconds), "");
    }
    for (const int count : workers) {
      const double rate =
          Cycle(farm, count, std::min(jobs / 4, jobs_), "full_database");
      Note(absl::StrCat("jobs/s, ", count, count == 1 ? " worker" : " workers",
                        ", ", jobs, " jobs and ", rows, " metric rows"),
           absl::StrFormat("%.0f", rate), "");
    }
  }

  void PrintTable() const { table_.Print(); }

 private:
  void Note(const std::string& what, const std::string& ours,
            const std::string& others) {
    table_.Add(what, ours, others);
  }

  // Workers finish `jobs` jobs of those that wait. Returns jobs a second.
  double Cycle(BenchFarm& farm, int workers, int jobs, const char* name) {
    StubWorkers stubs(farm, workers);
    std::vector<double> seconds;
    seconds.reserve(static_cast<size_t>(jobs));
    int started = 0, over = 0;
    std::function<void(int, const v1::Lease&)> finish =
        [&](int worker, const v1::Lease& lease) {
          const double begin = Now();
          const bool next = ++started <= jobs - workers;
          stubs.Finish(worker, lease, next,
                       [&, worker, begin](const auto& response) {
                         seconds.push_back(Now() - begin);
                         if (response.next_leases_size() > 0) {
                           finish(worker, response.next_leases(0));
                         } else {
                           ++over;
                         }
                       });
        };
    const double cpu = farm.CpuSeconds();
    const double begin = Now();
    for (int i = 0; i < workers; ++i) {
      stubs.Acquire(i, [&, i](const v1::Lease& lease) { finish(i, lease); });
    }
    while (over < workers) stubs.Next();
    const double rate = static_cast<double>(seconds.size()) / (Now() - begin);
    std::printf(
        "%s workers=%d jobs=%zu jobs_per_second=%.0f finish_p50_ms=%.3f "
        "finish_p99_ms=%.3f coordinator_cpu_us=%.0f\n",
        name, workers, seconds.size(), rate, 1e3 * Percentile(seconds, 0.5),
        1e3 * Percentile(seconds, 0.99),
        1e6 * (farm.CpuSeconds() - cpu) / static_cast<double>(seconds.size()));
    std::fflush(stdout);
    return rate;
  }

  // Reported by an attempt that then succeeds, as a worker does.
  void AddMetrics(BenchFarm& farm, int rows) {
    constexpr int kBatch = 2000;
    StubWorkers stubs(farm, 1);
    v1::Lease lease;
    bool held = false;
    stubs.Acquire(0, [&](const v1::Lease& got) {
      lease = got;
      held = true;
    });
    while (!held) stubs.Next();
    const auto stub = v1::WorkerService::NewStub(farm.Connect());
    for (int epoch = 0; epoch < rows;) {
      v1::ReportProgressRequest request;
      request.set_token(lease.token());
      for (int i = 0; i < kBatch && epoch < rows; ++i) {
        v1::EpochMetrics& metrics = *request.add_epochs();
        metrics.set_epoch(++epoch);
        (*metrics.mutable_values())["log_loss"] = 1.0 / epoch;
        (*metrics.mutable_values())["seconds"] = 1;
      }
      OrDie(UnaryCall(*stub, &v1::WorkerService::StubInterface::ReportProgress,
                      request, kTimeout));
    }
    bool done = false;
    stubs.Finish(0, lease, false, [&](const auto&) { done = true; });
    while (!done) stubs.Next();
  }

  const std::string directory_;
  const std::string beanstalkd_;
  const int jobs_;
  const int rounds_;
  const int repeats_;
  FigureTable table_;
};

int Run(int argc, char** argv) {
  if (argc == 4 && std::strcmp(argv[1], BarePeer::kServe) == 0) {
    return BarePeer::Serve(argv[2], std::atoi(argv[3]));
  }
  // As the coordinator.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
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
  QueueBench bench(folder, beanstalkd, jobs, rounds, repeats);
  bench.Disk();
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
