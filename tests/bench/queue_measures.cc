#include "tests/bench/queue_measures.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "common/base/files.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/channel.h"
#include "tests/bench/bare_peer.h"
#include "tests/bench/beanstalk_peer.h"
#include "tests/bench/flush_speed.h"
#include "tests/bench/rpc_speed.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(120);

}  // namespace

void QueueMeasures::Disk() {
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

void QueueMeasures::Rpc() {
  const RpcSpeed speed = MeasureRpc(directory_);
  std::printf(
      "grpc alone: calls per_second_1=%.0f per_second_16=%.0f; messages "
      "per_second_1=%.0f per_second_16=%.0f flushed_per_second_1=%.0f\n",
      speed.calls_1, speed.calls_16, speed.messages_1, speed.messages_16,
      speed.flushed_1);
  std::fflush(stdout);
  Note("gRPC alone, calls/s, 1 / 16 callers",
       absl::StrFormat("%.0f / %.0f", speed.calls_1, speed.calls_16),
       "8,590 / 28,734 (the day of the others)");
  Note("gRPC alone, messages/s, 1 / 16 streams",
       absl::StrFormat("%.0f / %.0f", speed.messages_1, speed.messages_16),
       "12,294 / 64,399 (the day of the others)");
  Note("the same with a flush before the answer, 1 stream",
       absl::StrFormat("%.0f", speed.flushed_1), "");
}

void QueueMeasures::Throughput(int workers, const std::string& others) {
  double best = 0;
  std::vector<double> rates;
  for (int repeat = 0; repeat < repeats_; ++repeat) {
    BenchFarm farm(directory_);
    farm.Submit((jobs_ + 1) / 2);
    rates.push_back(Cycle(farm, workers, jobs_, "throughput"));
    best = std::max(best, rates.back());
  }
  Note(absl::StrCat("jobs/s, ", workers, workers == 1 ? " worker" : " workers"),
       absl::StrFormat("%.0f (median of %d; best %.0f)", Percentile(rates, 0.5),
                       repeats_, best),
       others);
}

void QueueMeasures::PeerThroughput(int workers) {
  if (beanstalkd_.empty()) return;
  std::vector<double> rates;
  for (int repeat = 0; repeat < repeats_; ++repeat) {
    BeanstalkPeer peer(beanstalkd_, directory_);
    rates.push_back(peer.JobsPerSecond(workers, jobs_));
    std::printf("beanstalkd workers=%d jobs=%d jobs_per_second=%.0f\n", workers,
                jobs_, rates.back());
    std::fflush(stdout);
  }
  Note("", "",
       absl::StrFormat("beanstalkd -f 0 today: %.0f", Percentile(rates, 0.5)));
}

void QueueMeasures::BareThroughput(int workers) {
  std::vector<double> rates;
  for (int repeat = 0; repeat < repeats_; ++repeat) {
    BarePeer peer(directory_);
    rates.push_back(peer.JobsPerSecond(workers, jobs_));
    std::printf("bare_grpc_sqlite workers=%d jobs=%d jobs_per_second=%.0f\n",
                workers, jobs_, rates.back());
    std::fflush(stdout);
  }
  Note("", "",
       absl::StrFormat("bare gRPC + SQLite today: %.0f",
                       Percentile(rates, 0.5)));
}

void QueueMeasures::PeerLatency(int workers) {
  if (beanstalkd_.empty()) return;
  BeanstalkPeer peer(beanstalkd_, directory_);
  NoteStarts("beanstalkd -f 0", peer.StartSeconds(workers, rounds_));
}

void QueueMeasures::BareLatency(int workers) {
  BarePeer peer(directory_);
  NoteStarts("bare gRPC + SQLite", peer.StartSeconds(workers, rounds_));
}

void QueueMeasures::Latency(int workers, const std::string& others) {
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
  Note(
      absl::StrCat("submit -> start, ", workers,
                   workers == 1 ? " idle worker" : " idle workers"),
      absl::StrFormat("p50 %.2f ms, p99 %.2f ms", 1e3 * Percentile(starts, 0.5),
                      1e3 * Percentile(starts, 0.99)),
      others);
}

void QueueMeasures::Heartbeats(int workers) {
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

void QueueMeasures::Uploads(int megabytes) {
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
  Note("upload, digest checked at both ends, flushed",
       absl::StrFormat("%.0f MiB/s", megabytes / uploaded),
       absl::StrFormat("cp, sync, sha256sum: %.0f MiB/s", megabytes / copied));
}

void QueueMeasures::Full(int jobs, int rows, const std::vector<int>& workers) {
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

void QueueMeasures::Note(const std::string& what, const std::string& ours,
                         const std::string& others) {
  table_.Add(what, ours, others);
}

void QueueMeasures::NoteStarts(absl::string_view peer,
                               const std::vector<double>& starts) {
  Note("", "",
       absl::StrFormat("%s today: p50 %.2f ms, p99 %.2f ms", peer,
                       1e3 * Percentile(starts, 0.5),
                       1e3 * Percentile(starts, 0.99)));
}

double QueueMeasures::Cycle(BenchFarm& farm, int workers, int jobs,
                            const char* name) {
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

void QueueMeasures::AddMetrics(BenchFarm& farm, int rows) {
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

}  // namespace foldfarm
