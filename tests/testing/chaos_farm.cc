#include "tests/testing/chaos_farm.h"

#include <signal.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/clock.h"
#include "common/base/files.h"
#include "common/base/ids.h"
#include "common/base/json_text.h"
#include "common/rpc/channel.h"
#include "common/rpc/retry.h"
#include "common/sweep/sweep.h"
#include "tests/testing/programs.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;
constexpr absl::Duration kCallTimeout = absl::Seconds(5);
constexpr absl::Duration kLongestOutage = absl::Seconds(2);
// Open jobs that a source keeps up.
constexpr int kOpenJobs = 12;

// The job that the trainer with this process id works on; "" when it ended.
std::string JobOfTrainer(int pid) {
  const auto command = ReadFile(absl::StrCat("/proc/", pid, "/cmdline"));
  if (!command.ok()) return "";
  const std::vector<std::string> argv = absl::StrSplit(*command, '\0');
  if (argv.size() < 3) return "";
  const auto text = ReadFile(JoinPath(argv[2], "attempt.json"));
  if (!text.ok()) return "";
  const auto attempt = ParseJson(*text);
  return attempt.is_object() ? attempt.value("job", "") : "";
}

}  // namespace

std::string ChaosSweep(const std::string& name, int models, int epochs) {
  std::string yaml = absl::StrCat(
      "name: ", name, "\nfolds: {count: 2}\ntta: 2\ndefaults:\n  train: ",
      "{batch: 4, epochs: ", epochs,
      ", checkpoint_epochs: 2, validate_every: 10}\nmodels:\n");
  for (int i = 0; i < models; ++i) {
    absl::StrAppend(&yaml, "  - {name: ", i % 2 == 0 ? "slow" : "succeed", ".m",
                    i, ", arch: {conv1d: {widths: [4], kernel: 3}}}\n");
  }
  return yaml;
}

SweepSource::SweepSource(const std::string& endpoint,
                         const std::string& dataset, int models, int epochs)
    : endpoint_(endpoint),
      dataset_(dataset),
      models_(models),
      epochs_(epochs),
      thread_([this] { Loop(); }) {}

SweepSource::~SweepSource() { Stop(); }

std::set<std::string> SweepSource::Stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
  absl::MutexLock lock(&mu_);
  return sweeps_;
}

void SweepSource::Loop() {
  const auto farm = v1::FarmService::NewStub(MakeChannel(endpoint_));
  for (int number = 0; !stopping_; ++number) {
    // A seed of its own: results of one sweep are not taken for another's.
    auto spec = ParseSweep(
        ChaosSweep(absl::StrCat("chaos", number), models_, epochs_), "chaos");
    if (!spec.ok()) return;
    spec->set_seed(static_cast<uint32_t>(number + 1));
    v1::SubmitSweepRequest request;
    request.set_request_id(NewRandomId());
    request.set_dataset(dataset_);
    *request.mutable_spec() = *spec;
    // To the end even when stopping: what became of it would not be known.
    PollUntil(absl::Minutes(2), [&] {
      const auto response =
          UnaryCall(*farm, &Farm::SubmitSweep, request, kCallTimeout);
      if (!response.ok()) return false;
      absl::MutexLock lock(&mu_);
      sweeps_.insert(response->sweep());
      return true;
    });
    PollUntil(absl::InfiniteDuration(), [&] {
      if (stopping_) return true;
      const auto response = UnaryCall(*farm, &Farm::ListSweeps,
                                      v1::ListSweepsRequest(), kCallTimeout);
      if (!response.ok()) return false;
      int open = 0;
      for (const v1::Sweep& sweep : response->sweeps()) {
        open += sweep.pending() + sweep.running();
      }
      return open < kOpenJobs;
    });
  }
}

bool Killer::KillOne() {
  const double choice = Random();
  if (choice < 0.25) {
    KillCoordinator();
  } else if (choice < 0.6) {
    KillAgent();
  } else if (!KillTrainer()) {
    return false;
  }
  ++kills_;
  CountForSummary("kills", 1);
  return true;
}

void Killer::KillCoordinator() {
  ++coordinators_;
  cluster_.KillCoordinator();
  // Half the time it is away for a while.
  const absl::Duration away = kLongestOutage * std::max(0.0, 2 * Random() - 1);
  WaitUnlessCancelled(Clock::Real(), away, [] { return false; });
  const absl::Status status = cluster_.StartCoordinator();
  if (!status.ok()) {
    findings_.push_back(
        absl::StrCat("the coordinator did not come back: ", status.ToString()));
  }
}

void Killer::KillAgent() {
  const std::vector<std::string> workers = cluster_.Workers();
  const std::string& worker = workers[Choose(workers.size())];
  ++agents_;
  cluster_.KillWorker(worker);
  if (!PollUntil(absl::Seconds(10),
                 [&] { return cluster_.Trainers(worker).empty(); })) {
    findings_.push_back(absl::StrCat("a trainer outlived worker ", worker));
  }
  const absl::Status status = cluster_.StartWorker(worker);
  if (!status.ok()) findings_.push_back(status.ToString());
}

bool Killer::KillTrainer() {
  std::vector<int> trainers = cluster_.Trainers();
  std::shuffle(trainers.begin(), trainers.end(), random_);
  for (const int pid : trainers) {
    const std::string job = JobOfTrainer(pid);
    if (job.empty() || killed_[job] >= 2) continue;
    ++killed_[job];
    ++trainers_;
    kill(pid, SIGKILL);
    return true;
  }
  return false;
}

std::string Killer::ToString() const {
  return absl::StrCat(kills_, " kills: ", coordinators_, " coordinators, ",
                      agents_, " agents, ", trainers_, " trainers");
}

void EndQuarantines(TestCluster& cluster) {
  const auto workers = UnaryCall(cluster.farm(), &Farm::ListWorkers,
                                 v1::ListWorkersRequest(), kCallTimeout);
  if (!workers.ok()) return;
  for (const v1::Worker& worker : workers->workers()) {
    if (worker.state() != v1::Worker::QUARANTINED) continue;
    v1::UndrainWorkerRequest request;
    request.set_worker(worker.name());
    UnaryCall(cluster.farm(), &Farm::UndrainWorker, request, kCallTimeout)
        .status()
        .IgnoreError();
  }
}

bool WaitForSweeps(TestCluster& cluster, const std::set<std::string>& sweeps,
                   absl::Duration patience) {
  return PollUntil(patience, [&] {
    EndQuarantines(cluster);
    const auto response = UnaryCall(cluster.farm(), &Farm::ListSweeps,
                                    v1::ListSweepsRequest(), kCallTimeout);
    if (!response.ok()) return false;
    return std::all_of(response->sweeps().begin(), response->sweeps().end(),
                       [&](const v1::Sweep& sweep) {
                         return sweeps.count(sweep.id()) == 0 ||
                                sweep.pending() + sweep.running() == 0;
                       });
  });
}

}  // namespace foldfarm
