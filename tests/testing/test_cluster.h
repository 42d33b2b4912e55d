// A farm of real programs on this machine: a coordinator and workers from
// FOLDFARM_BIN_DIR, over real sockets, in a temporary folder.
//
// Everything can be killed and started again. Waiting is on conditions that the
// coordinator reports, with a deadline. When a test has failed, the programs'
// logs are printed at the end. Used by one thread, the one that made it: the
// children die with it.
#ifndef FOLDFARM_TESTS_TESTING_TEST_CLUSTER_H_
#define FOLDFARM_TESTS_TESTING_TEST_CLUSTER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/subprocess.h"
#include "foldfarm/v1/artifact.grpc.pb.h"
#include "foldfarm/v1/farm.grpc.pb.h"

namespace foldfarm {

struct TestClusterOptions {
  // Short, but not too short for a busy machine.
  double lease_seconds = 4;
  double heartbeat_seconds = 0.4;
  // "foldfarm-trainer", or "foldfarm-fake-trainer", which only speaks the
  // contract and does what a model's name says.
  std::string trainer = "foldfarm-fake-trainer";
  // More flags of the coordinator.
  std::vector<std::string> coordinator_flags = {};
  // Added to the coordinator's environment, e.g. faults of its files.
  std::map<std::string, std::string> coordinator_environment = {};
  // Where the coordinator listens.
  std::string listen = "127.0.0.1:0";
  // With which the cluster itself calls; empty: none.
  std::string token = {};
  // How long to wait for a condition.
  absl::Duration patience = absl::Seconds(120);
};

// How to start a worker otherwise than plainly.
struct WorkerLaunch {
  std::vector<std::string> flags = {};
  // --trainer; empty: the cluster's.
  std::string trainer = {};
  // Put before the worker's command, to run it elsewhere; it must become the
  // worker (exec): {"ip", "netns", "exec", "host1"}.
  std::vector<std::string> wrapper = {};
  // Added to its environment.
  std::map<std::string, std::string> environment = {};
};

class TestCluster {
 public:
  // Starts the coordinator.
  static absl::StatusOr<std::unique_ptr<TestCluster>> Start(
      const TestClusterOptions& options);
  // Kills everything and removes the folder.
  ~TestCluster();
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;

  const std::string& endpoint() const { return endpoint_; }
  const std::string& folder() const { return folder_; }
  v1::FarmService::Stub& farm() { return *farm_; }
  v1::ArtifactService::Stub& artifacts() { return *artifacts_; }

  // SIGKILL. StartCoordinator starts it again at the same address.
  void KillCoordinator();
  absl::Status StartCoordinator();
  void SignalCoordinator(int signal);
  // SIGTERM; waits for the end.
  ExitState StopCoordinator();
  int coordinator_pid() const { return coordinator_->pid(); }
  std::string coordinator_folder() const;
  // Waits until it ends by itself.
  ExitState WaitForCoordinator() { return coordinator_->Wait(); }
  // From the next start on.
  void SetCoordinatorEnvironment(
      std::map<std::string, std::string> environment) {
    options_.coordinator_environment = std::move(environment);
  }

  absl::Status StartWorker(const std::string& name,
                           const std::vector<std::string>& flags = {});
  absl::Status StartWorker(const std::string& name, const WorkerLaunch& launch);
  // Names of those that were started and not killed or stopped by this.
  std::vector<std::string> Workers() const;
  std::string worker_log(const std::string& name) const;
  void SignalWorker(const std::string& name, int signal);
  // SIGKILL; waits for the end.
  void KillWorker(const std::string& name);
  // SIGTERM; waits for the end.
  ExitState StopWorker(const std::string& name);
  // Waits until it ends by itself.
  ExitState WaitForWorker(const std::string& name);

  // Uploads and registers TinyDataset(samples) as `name`.
  absl::Status AddDataset(const std::string& name, int samples);
  // Parses a sweep file and submits it; returns the sweep's id.
  absl::StatusOr<std::string> Submit(const std::string& yaml,
                                     const std::string& dataset);
  // Submits a specification as it is.
  absl::StatusOr<std::string> Submit(const v1::SweepSpec& spec,
                                     const std::string& dataset);

  // Waits until `condition` holds for the sweep, asked whenever it changes;
  // outages are waited out. Returns what held. DEADLINE_EXCEEDED when patience
  // ran out.
  using Jobs = std::map<std::string, v1::Job>;  // By "MODEL/FOLD".
  absl::StatusOr<Jobs> WaitForJobs(
      const std::string& sweep,
      const std::function<bool(const Jobs&)>& condition);
  // The same for one job and everything known of it.
  absl::StatusOr<v1::GetJobResponse> WaitForJob(
      const std::string& job,
      const std::function<bool(const v1::GetJobResponse&)>& condition);

  absl::StatusOr<v1::GetJobResponse> GetJob(const std::string& job);
  absl::StatusOr<v1::GetMetricsResponse> GetMetrics(const std::string& job);
  absl::StatusOr<int> Cancel(const std::string& target);

  // Process ids of trainers that this cluster's workers started; of one worker
  // if it is named.
  std::vector<int> Trainers(const std::string& worker = "") const;
  // Waits until there are none; false after 10 s.
  bool WaitForNoTrainers();

 private:
  explicit TestCluster(const TestClusterOptions& options, std::string folder)
      : options_(options), folder_(std::move(folder)) {}

  TestClusterOptions options_;
  const std::string folder_;
  std::string endpoint_;  // Empty until the coordinator has said it.
  std::unique_ptr<Subprocess> coordinator_;
  // Null: killed or stopped.
  std::map<std::string, std::unique_ptr<Subprocess>> workers_;
  std::unique_ptr<v1::FarmService::Stub> farm_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_TESTING_TEST_CLUSTER_H_
