// What queue_bench measures against: a real foldfarm-coordinator in a folder of
// its own, and any number of stub workers.
//
// The coordinator is a process of its own, as on a farm. Stub workers speak the
// worker's protocol over a connection and a stream each, but train nothing; one
// thread and one completion queue serve them all, so that what is measured is
// the farm and not a hundred clients' threads. Whatever fails ends the program:
// a benchmark has nobody to hand an error to.
//
// Not thread-safe.
#ifndef FOLDFARM_TESTS_BENCH_QUEUE_FARM_H_
#define FOLDFARM_TESTS_BENCH_QUEUE_FARM_H_

#include <grpcpp/grpcpp.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/subprocess.h"
#include "foldfarm/v1/artifact.grpc.pb.h"
#include "foldfarm/v1/farm.grpc.pb.h"
#include "foldfarm/v1/worker.grpc.pb.h"

namespace foldfarm {

void DieUnlessOk(const absl::Status& status);

template <typename T>
T OrDie(absl::StatusOr<T> value) {
  DieUnlessOk(value.status());
  return *std::move(value);
}

// Seconds, from an arbitrary begin.
double Now();

double Percentile(std::vector<double> values, double share);

// Starts a program and waits for its first line of output.
std::unique_ptr<Subprocess> SpawnUntilLine(std::vector<std::string> argv,
                                           std::string& line);

// A sweep of `models` models in two folds.
v1::SweepSpec BenchSpec(int models);

class BenchFarm {
 public:
  // In a new folder below `parent`; with the dataset "tiny".
  explicit BenchFarm(const std::string& parent);
  // Kills the coordinator and removes the folder.
  ~BenchFarm();
  BenchFarm(const BenchFarm&) = delete;
  BenchFarm& operator=(const BenchFarm&) = delete;

  // SIGKILL or, `clean`, SIGTERM; then starts it again at the same address.
  // Returns the seconds from starting it until it listens.
  double Restart(bool clean);
  // Processor seconds that the coordinator has used.
  double CpuSeconds() const;

  const std::string& directory() const { return directory_; }
  std::shared_ptr<grpc::Channel> Connect() const;
  v1::ArtifactService::Stub& artifacts() { return *artifacts_; }
  v1::FarmService::Stub& farm() { return *farm_; }

  v1::SubmitSweepRequest SubmitRequest(int models) const;
  void Submit(int models);

  // The result of a lease's fold, uploaded by the first who asks: content is
  // stored once, so later jobs' uploads would find it there.
  const v1::ArtifactRef& Result(const v1::Lease& lease);

 private:
  // Seconds until it listened.
  double StartCoordinator();

  const std::string directory_;
  std::string endpoint_;
  std::unique_ptr<Subprocess> coordinator_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  std::unique_ptr<v1::FarmService::Stub> farm_;
  std::map<int, v1::ArtifactRef> results_;
};

// `count` registered workers of one slot. Calls are started from the thread
// that runs Next(), and each ends with its own callback.
class StubWorkers {
 public:
  StubWorkers(BenchFarm& farm, int count);
  ~StubWorkers();
  StubWorkers(const StubWorkers&) = delete;
  StubWorkers& operator=(const StubWorkers&) = delete;

  int size() const { return static_cast<int>(workers_.size()); }

  // Waits for a lease, for as long as it takes.
  void Acquire(int worker, std::function<void(const v1::Lease&)> done);
  // Reports success; `next` asks for another lease in the same call.
  void Finish(int worker, const v1::Lease& lease, bool next,
              std::function<void(const v1::FinishAttemptResponse&)> done);
  void Heartbeat(int worker, int64_t token, std::function<void()> done);
  void Submit(int models, std::function<void()> done);

  // Waits for one call to end and runs its callback.
  void Next();

 private:
  // What the completion queue hands back.
  struct Event {
    virtual ~Event() = default;
    virtual void End(bool ok) = 0;
  };
  class Stream;
  struct Submission;
  struct Worker {
    int64_t session = 0;
    std::unique_ptr<Stream> stream;
  };

  BenchFarm& farm_;
  grpc::CompletionQueue queue_;
  std::vector<Worker> workers_;
  std::unique_ptr<v1::FarmService::Stub> submitter_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_BENCH_QUEUE_FARM_H_
