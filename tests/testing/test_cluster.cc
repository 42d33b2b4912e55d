#include "tests/testing/test_cluster.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/status_macros.h"
#include "common/rpc/artifact_client.h"
#include "common/rpc/channel.h"
#include "common/rpc/client_access.h"
#include "common/rpc/retry.h"
#include "common/sweep/sweep.h"
#include "tests/testing/signal_mask.h"
#include "tests/testing/tiny_data.h"

namespace foldfarm {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
constexpr absl::Duration kLookInterval = absl::Milliseconds(20);

using Farm = v1::FarmService::StubInterface;

std::string Program(const std::string& name) {
  return JoinPath(FOLDFARM_BIN_DIR, name);
}

// Looks until `condition` holds; false when `patience` ran out.
bool Poll(absl::Duration patience, const std::function<bool()>& condition) {
  Clock& clock = Clock::Real();
  const absl::Duration end = clock.Monotonic() + patience;
  while (!condition()) {
    if (clock.Monotonic() >= end) return false;
    WaitUnlessCancelled(clock, kLookInterval, [] { return false; });
  }
  return true;
}

// The first line that comes through `fd`, or what came before its end.
std::string ReadLine(int fd) {
  std::string line;
  char c = 0;
  while (read(fd, &c, 1) == 1 && c != '\n') line += c;
  return line;
}

void PrintLogs(const std::string& folder) {
  const auto names = ListDirectory(folder);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    if (!absl::EndsWith(name, ".log")) continue;
    const auto text = ReadFile(JoinPath(folder, name));
    if (text.ok()) std::cerr << "---- " << name << "\n" << *text;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<TestCluster>> TestCluster::Start(
    const TestClusterOptions& options) {
  FOLDFARM_ASSIGN_OR_RETURN(std::string folder,
                            MakeTemporaryDirectory("cluster"));
  auto cluster =
      std::unique_ptr<TestCluster>(new TestCluster(options, std::move(folder)));
  FOLDFARM_RETURN_IF_ERROR(cluster->StartCoordinator());
  FOLDFARM_ASSIGN_OR_RETURN(
      const FarmChannel access,
      ToFarmChannel({.token = options.token}, cluster->endpoint_));
  const auto channel = MakeChannel(cluster->endpoint_, access);
  cluster->farm_ = v1::FarmService::NewStub(channel);
  cluster->artifacts_ = v1::ArtifactService::NewStub(channel);
  return cluster;
}

TestCluster::~TestCluster() {
  workers_.clear();  // Kills and reaps each.
  coordinator_.reset();
  if (::testing::Test::HasFailure()) PrintLogs(folder_);
  EXPECT_TRUE(WaitForNoTrainers());
  EXPECT_TRUE(RemoveRecursively(folder_).ok());
}

void TestCluster::KillCoordinator() {
  coordinator_->Signal(SIGKILL);
  coordinator_->Wait();
}

absl::Status TestCluster::StartCoordinator() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus("pipe", "cannot create");
  SubprocessOptions command;
  command.argv = {
      Program("foldfarm-coordinator"),
      "--dir",
      JoinPath(folder_, "coordinator"),
      "--listen",
      endpoint_.empty() ? options_.listen : endpoint_,
      absl::StrCat("--lease-seconds=", options_.lease_seconds),
      absl::StrCat("--heartbeat-seconds=", options_.heartbeat_seconds),
      "--log-file",
      JoinPath(folder_, "coordinator.log")};
  command.argv.insert(command.argv.end(), options_.coordinator_flags.begin(),
                      options_.coordinator_flags.end());
  command.environment = options_.coordinator_environment;
  command.descriptors = {{1, fds[1]}};
  auto process = Subprocess::Spawn(command);
  close(fds[1]);
  const std::string line = process.ok() ? ReadLine(fds[0]) : "";
  close(fds[0]);
  FOLDFARM_RETURN_IF_ERROR(process.status());
  coordinator_ = *std::move(process);
  absl::string_view said = line;
  if (!absl::ConsumePrefix(&said, "listening on ")) {
    return absl::InternalError(absl::StrCat("the coordinator said \"", line,
                                            "\", expected its address"));
  }
  endpoint_ = std::string(said);
  return absl::OkStatus();
}

void TestCluster::SignalCoordinator(int signal) {
  coordinator_->Signal(signal);
}

ExitState TestCluster::StopCoordinator() {
  SignalCoordinator(SIGTERM);
  return coordinator_->Wait();
}

std::string TestCluster::coordinator_folder() const {
  return JoinPath(folder_, "coordinator");
}

absl::Status TestCluster::StartWorker(const std::string& name,
                                      const std::vector<std::string>& flags) {
  return StartWorker(name, WorkerLaunch{.flags = flags});
}

absl::Status TestCluster::StartWorker(const std::string& name,
                                      const WorkerLaunch& launch) {
  SubprocessOptions command;
  command.environment = launch.environment;
  command.argv = launch.wrapper;
  for (const std::string& argument :
       {Program("foldfarm-worker"), std::string("--coordinator"), endpoint_,
        std::string("--name"), name, std::string("--device"),
        std::string("cpu"), std::string("--threads"), std::string("1"),
        std::string("--dir"), JoinPath(folder_, "workers"),
        std::string("--trainer"),
        launch.trainer.empty() ? Program(options_.trainer) : launch.trainer,
        std::string("--log-file"), worker_log(name)}) {
    command.argv.push_back(argument);
  }
  command.argv.insert(command.argv.end(), launch.flags.begin(),
                      launch.flags.end());
  FOLDFARM_ASSIGN_OR_RETURN(workers_[name], Subprocess::Spawn(command));
  return absl::OkStatus();
}

std::vector<std::string> TestCluster::Workers() const {
  std::vector<std::string> names;
  for (const auto& [name, process] : workers_) {
    if (process != nullptr) names.push_back(name);
  }
  return names;
}

std::string TestCluster::worker_log(const std::string& name) const {
  return JoinPath(folder_, absl::StrCat("worker-", name, ".log"));
}

void TestCluster::SignalWorker(const std::string& name, int signal) {
  // Not the group: what happens to its children is what tests ask.
  kill(workers_.at(name)->pid(), signal);
}

void TestCluster::KillWorker(const std::string& name) {
  SignalWorker(name, SIGKILL);
  workers_.at(name)->Wait();
  workers_.at(name).reset();
}

ExitState TestCluster::StopWorker(const std::string& name) {
  // One that has only just started would die of the signal.
  Poll(absl::Seconds(10),
       [&] { return BlocksOrEnded(workers_.at(name)->pid(), SIGTERM); });
  SignalWorker(name, SIGTERM);
  const ExitState exit = workers_.at(name)->Wait();
  workers_.at(name).reset();
  return exit;
}

ExitState TestCluster::WaitForWorker(const std::string& name) {
  const ExitState exit = workers_.at(name)->Wait();
  workers_.at(name).reset();
  return exit;
}

absl::Status TestCluster::AddDataset(const std::string& name, int samples) {
  FOLDFARM_ASSIGN_OR_RETURN(
      const v1::ArtifactRef artifact,
      UploadBytes(*artifacts_, TinyDataset(samples), "dataset.safetensors"));
  v1::RegisterDatasetRequest request;
  request.set_name(name);
  request.set_digest(artifact.digest());
  return UnaryCall(*farm_, &Farm::RegisterDataset, request, kCallTimeout)
      .status();
}

absl::StatusOr<std::string> TestCluster::Submit(const std::string& yaml,
                                                const std::string& dataset) {
  FOLDFARM_ASSIGN_OR_RETURN(const v1::SweepSpec spec,
                            ParseSweep(yaml, "sweep.yaml"));
  return Submit(spec, dataset);
}

absl::StatusOr<std::string> TestCluster::Submit(const v1::SweepSpec& spec,
                                                const std::string& dataset) {
  v1::SubmitSweepRequest request;
  request.set_request_id(NewRandomId());
  *request.mutable_spec() = spec;
  request.set_dataset(dataset);
  FOLDFARM_ASSIGN_OR_RETURN(
      const v1::SubmitSweepResponse response,
      UnaryCall(*farm_, &Farm::SubmitSweep, request, kCallTimeout));
  return response.sweep();
}

absl::StatusOr<TestCluster::Jobs> TestCluster::WaitForJobs(
    const std::string& sweep,
    const std::function<bool(const Jobs&)>& condition) {
  Jobs jobs;
  const bool held = Poll(options_.patience, [&] {
    grpc::ClientContext context;
    SetTimeout(context, options_.patience);
    v1::WatchSweepRequest request;
    request.set_sweep(sweep);
    const auto reader = farm_->WatchSweep(&context, request);
    v1::WatchSweepResponse response;
    bool now = false;
    while (!now && reader->Read(&response)) {
      for (const v1::Job& job : response.jobs()) {
        jobs[absl::StrCat(job.model(), "/", job.fold())] = job;
      }
      now = condition(jobs);
    }
    context.TryCancel();
    reader->Finish();
    return now;
  });
  if (held) return jobs;
  return absl::DeadlineExceededError(absl::StrCat(sweep, ": not in time"));
}

absl::StatusOr<v1::GetJobResponse> TestCluster::WaitForJob(
    const std::string& job,
    const std::function<bool(const v1::GetJobResponse&)>& condition) {
  absl::StatusOr<v1::GetJobResponse> response;
  const bool held = Poll(options_.patience, [&] {
    response = GetJob(job);
    return response.ok() && condition(*response);
  });
  if (held) return response;
  return absl::DeadlineExceededError(
      absl::StrCat(job, ": not in time; it is ",
                   response.ok() ? response->ShortDebugString()
                                 : response.status().ToString()));
}

absl::StatusOr<v1::GetJobResponse> TestCluster::GetJob(const std::string& job) {
  v1::GetJobRequest request;
  request.set_job(job);
  return UnaryCall(*farm_, &Farm::GetJob, request, kCallTimeout);
}

absl::StatusOr<v1::GetMetricsResponse> TestCluster::GetMetrics(
    const std::string& job) {
  v1::GetMetricsRequest request;
  request.set_job(job);
  return UnaryCall(*farm_, &Farm::GetMetrics, request, kCallTimeout);
}

absl::StatusOr<int> TestCluster::Cancel(const std::string& target) {
  v1::CancelRequest request;
  request.set_target(target);
  FOLDFARM_ASSIGN_OR_RETURN(
      const v1::CancelResponse response,
      UnaryCall(*farm_, &Farm::Cancel, request, kCallTimeout));
  return response.jobs();
}

std::vector<int> TestCluster::Trainers(const std::string& worker) const {
  std::vector<int> pids;
  const auto names = ListDirectory("/proc");
  if (!names.ok()) return pids;
  const std::string scratch =
      JoinPath(JoinPath(folder_, "workers/scratch"),
               worker.empty() ? "" : absl::StrCat(worker, "/"));
  for (const std::string& name : *names) {
    int pid = 0;
    if (!absl::SimpleAtoi(name, &pid)) continue;
    const auto command = ReadFile(absl::StrCat("/proc/", name, "/cmdline"));
    // Only trainers have a scratch folder among their arguments. A zombie has
    // no arguments any more.
    if (command.ok() && absl::StrContains(*command, scratch)) {
      pids.push_back(pid);
    }
  }
  return pids;
}

bool TestCluster::WaitForNoTrainers() {
  return Poll(absl::Seconds(10), [this] { return Trainers().empty(); });
}

}  // namespace foldfarm
