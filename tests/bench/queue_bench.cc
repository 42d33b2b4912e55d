// How many jobs a second the coordinator leases and completes, durably, and how
// soon a submitted job starts on an idle worker.
//
// Server and stub workers share this process, for one simple command; they talk
// gRPC over TCP on loopback, each worker on its own connection, and the store
// is the real one (WAL, synchronous=FULL) in a folder of --dir. A job is one
// FinishAttempt with a checked result, which brings the next lease in the same
// transaction. Trainers cost nothing here.
#include <grpcpp/grpcpp.h>
#include <pthread.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/log.h"
#include "common/rpc/channel.h"
#include "coordinator/service/server.h"
#include "foldfarm/v1/farm.grpc.pb.h"
#include "foldfarm/v1/worker.grpc.pb.h"
#include "tests/testing/tiny_data.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(60);

// A benchmark has nobody to hand an error to.
template <typename T>
T OrDie(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "queue_bench: %s\n",
                 value.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(value);
}

double Now() { return absl::ToDoubleSeconds(Clock::Real().Monotonic()); }

// Processor time of the whole process: server and stub workers.
double CpuSeconds() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) +
           1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double Percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const size_t index =
      static_cast<size_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  return values[index];
}

v1::SweepSpec Spec(int models) {
  v1::SweepSpec spec;
  spec.set_name("bench");
  spec.mutable_folds()->set_count(2);
  for (int i = 0; i < models; ++i) {
    v1::ModelSpec& model = *spec.add_models();
    model.set_name(absl::StrCat("m", i));
    model.mutable_arch()->mutable_none();
  }
  return spec;
}

// A coordinator in a folder of its own, with the dataset "tiny".
class Farm {
 public:
  explicit Farm(const std::string& parent)
      : directory_(JoinPath(parent, NewRandomId())) {
    ServerOptions options;
    options.directory = directory_;
    options.listen = "127.0.0.1:0";
    server_ = OrDie(CoordinatorServer::Start(options, Clock::Real()));
    v1::RegisterDatasetRequest request;
    request.set_name("tiny");
    request.set_digest(Upload(TinyDataset(12), "dataset").digest());
    OrDie(server_->queue().RegisterDataset(request));
  }

  ~Farm() {
    server_.reset();
    RemoveRecursively(directory_).IgnoreError();
  }

  v1::ArtifactRef Upload(const std::string& bytes, const std::string& name) {
    v1::ArtifactRef ref;
    ref.set_name(name);
    ref.set_digest(Sha256Hex(bytes));
    ref.set_size_bytes(static_cast<int64_t>(bytes.size()));
    const auto upload =
        OrDie(server_->files().BeginUpload(ref.digest(), ref.size_bytes(), 0));
    if (upload != nullptr) {
      if (!upload->Append(bytes).ok() || !upload->Finish().ok()) std::exit(1);
    }
    return ref;
  }

  // The result of a lease's fold, uploaded by the first who asks: content is
  // stored once, so later jobs' uploads would find it there.
  v1::ArtifactRef Result(const v1::Lease& lease) {
    absl::MutexLock lock(&mu_);
    v1::ArtifactRef& result = results_[lease.spec().fold()];
    if (result.digest().empty()) {
      result = Upload(TinyOof({lease.spec().validation_samples().begin(),
                               lease.spec().validation_samples().end()},
                              0.5f),
                      "oof.safetensors");
    }
    return result;
  }

  std::shared_ptr<grpc::Channel> Connect() {
    return MakeChannel(server_->endpoint());
  }

  // Returns the seconds that it took.
  double Submit(int models) {
    const auto stub = v1::FarmService::NewStub(Connect());
    v1::SubmitSweepRequest request;
    request.set_request_id(NewRandomId());
    request.set_dataset("tiny");
    request.set_no_reuse(true);
    *request.mutable_spec() = Spec(models);
    const double begin = Now();
    OrDie(UnaryCall(*stub, &v1::FarmService::StubInterface::SubmitSweep,
                    request, kTimeout));
    return Now() - begin;
  }

 private:
  const std::string directory_;
  std::unique_ptr<CoordinatorServer> server_;
  absl::Mutex mu_;
  std::map<int, v1::ArtifactRef> results_ ABSL_GUARDED_BY(mu_);
};

class StubWorker {
 public:
  StubWorker(Farm& farm, int number)
      : farm_(farm), stub_(v1::WorkerService::NewStub(farm.Connect())) {
    v1::RegisterRequest request;
    request.set_name(absl::StrCat("w", number));
    request.set_slots(1);
    session_ =
        OrDie(UnaryCall(*stub_, &v1::WorkerService::StubInterface::Register,
                        request, kTimeout))
            .session();
  }

  // Waits for a lease.
  v1::Lease Acquire() {
    v1::AcquireLeasesRequest request;
    request.set_session(session_);
    request.set_free_slots(1);
    request.set_max_leases(1);
    request.set_wait_seconds(30);
    while (true) {
      const auto response = OrDie(
          UnaryCall(*stub_, &v1::WorkerService::StubInterface::AcquireLeases,
                    request, kTimeout));
      if (response.leases_size() > 0) return response.leases(0);
    }
  }

  v1::FinishAttemptResponse Finish(const v1::Lease& lease, bool next) {
    v1::FinishAttemptRequest request;
    request.set_session(session_);
    request.set_token(lease.token());
    request.set_outcome(v1::Attempt::SUCCEEDED);
    *request.add_artifacts() = farm_.Result(lease);
    (*request.mutable_metrics())["log_loss"] = 0.5;
    if (next) request.set_next_leases(1);
    request.set_free_slots(1);
    return OrDie(UnaryCall(*stub_,
                           &v1::WorkerService::StubInterface::FinishAttempt,
                           request, kTimeout));
  }

 private:
  Farm& farm_;
  const std::unique_ptr<v1::WorkerService::Stub> stub_;
  int64_t session_ = 0;
};

void BenchThroughput(const std::string& directory, int workers, int jobs) {
  Farm farm(directory);
  const double submit = farm.Submit((jobs + 1) / 2);
  std::vector<std::unique_ptr<StubWorker>> stubs;
  for (int i = 0; i < workers; ++i) {
    stubs.push_back(std::make_unique<StubWorker>(farm, i));
  }
  std::vector<std::vector<double>> latencies(static_cast<size_t>(workers));
  const double begin = Now();
  const double cpu = CpuSeconds();
  std::vector<std::thread> threads;
  for (int i = 0; i < workers; ++i) {
    threads.emplace_back([&, i] {
      pthread_setname_np(pthread_self(), "stub-worker");
      StubWorker& worker = *stubs[static_cast<size_t>(i)];
      v1::Lease lease = worker.Acquire();
      while (true) {
        const double call = Now();
        v1::FinishAttemptResponse response = worker.Finish(lease, true);
        latencies[static_cast<size_t>(i)].push_back(Now() - call);
        if (response.next_leases_size() == 0) return;
        lease = std::move(*response.mutable_next_leases(0));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = Now() - begin;
  std::vector<double> all;
  for (const auto& part : latencies)
    all.insert(all.end(), part.begin(), part.end());
  std::printf(
      "throughput workers=%d jobs=%zu jobs_per_second=%.0f finish_p50_ms=%.3f "
      "finish_p99_ms=%.3f cpu_us_per_job=%.0f submit_ms=%.1f\n",
      workers, all.size(), static_cast<double>(all.size()) / seconds,
      1e3 * Percentile(all, 0.5), 1e3 * Percentile(all, 0.99),
      1e6 * (CpuSeconds() - cpu) / all.size(), 1e3 * submit);
  std::fflush(stdout);
}

void BenchLatency(const std::string& directory, int workers, int rounds) {
  Farm farm(directory);
  // A sweep of two jobs; both workers or more wait, so the first to start is
  // what counts.
  std::vector<std::unique_ptr<StubWorker>> stubs;
  for (int i = 0; i < workers; ++i) {
    stubs.push_back(std::make_unique<StubWorker>(farm, i));
  }
  std::atomic<double> first{0};
  std::atomic<int> done{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < workers; ++i) {
    threads.emplace_back([&, i] {
      StubWorker& worker = *stubs[static_cast<size_t>(i)];
      while (!stop) {
        const v1::Lease lease = worker.Acquire();
        double expected = 0;
        first.compare_exchange_strong(expected, Now());
        worker.Finish(lease, false);
        ++done;
      }
    });
  }
  std::vector<double> starts, acks;
  const auto stub = v1::FarmService::NewStub(farm.Connect());
  for (int round = 0; round < rounds + workers; ++round) {
    // Idle: everybody is back in AcquireLeases.
    absl::SleepFor(absl::Milliseconds(10));
    first = 0;
    if (round == rounds) stop = true;
    v1::SubmitSweepRequest request;
    request.set_request_id(NewRandomId());
    request.set_dataset("tiny");
    request.set_no_reuse(true);
    *request.mutable_spec() = Spec(1);
    const int before = done;
    const double begin = Now();
    OrDie(UnaryCall(*stub, &v1::FarmService::StubInterface::SubmitSweep,
                    request, kTimeout));
    const double acked = Now();
    if (stop) continue;
    while (done < before + 2) absl::SleepFor(absl::Microseconds(200));
    acks.push_back(acked - begin);
    starts.push_back(first - begin);
  }
  for (std::thread& thread : threads) thread.join();
  std::printf(
      "latency workers=%d rounds=%d submit_to_start_p50_ms=%.3f "
      "submit_to_start_p99_ms=%.3f submit_ack_p50_ms=%.3f "
      "submit_ack_p99_ms=%.3f\n",
      workers, rounds, 1e3 * Percentile(starts, 0.5),
      1e3 * Percentile(starts, 0.99), 1e3 * Percentile(acks, 0.5),
      1e3 * Percentile(acks, 0.99));
  std::fflush(stdout);
}

int Run(int argc, char** argv) {
  std::vector<int> workers = {1, 8, 16};
  int jobs = 10000;
  int rounds = 300;
  std::string directory;
  CLI::App app("Measures the coordinator's queue.", "queue_bench");
  app.add_option("--workers", workers, "Stub workers, one run each")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--jobs", jobs, "Jobs of a throughput run, at most 20000")
      ->capture_default_str()
      ->check(CLI::Range(2, 20000));
  app.add_option("--rounds", rounds, "Submissions of a latency run")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--dir", directory,
                 "Folder on the disk to measure (default: a temporary one)");
  app.footer("Example:\n  queue_bench --workers 1,8,16 --jobs 10000");
  CLI11_PARSE(app, argc, argv);
  if (!InitLog("queue_bench", "warning").ok()) return 1;
  const bool temporary = directory.empty();
  if (temporary) {
    directory = OrDie(MakeTemporaryDirectory("foldfarm-queue-bench-"));
  }
  for (const int count : workers) BenchThroughput(directory, count, jobs);
  for (const int count : workers) BenchLatency(directory, count, rounds);
  if (temporary) RemoveRecursively(directory).IgnoreError();
  return 0;
}

}  // namespace
}  // namespace foldfarm

int main(int argc, char** argv) { return foldfarm::Run(argc, argv); }
