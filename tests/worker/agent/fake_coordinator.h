// A coordinator in memory, behind WorkerApi, that tests break on purpose.
#ifndef FOLDFARM_TESTS_WORKER_AGENT_FAKE_COORDINATOR_H_
#define FOLDFARM_TESTS_WORKER_AGENT_FAKE_COORDINATOR_H_

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/digest.h"
#include "common/base/files.h"
#include "foldfarm/v1/worker.pb.h"
#include "worker/agent/worker_api.h"

namespace foldfarm {

class FakeCoordinator : public WorkerApi {
 public:
  // What was heard about one attempt.
  struct Heard {
    bool started = false;
    int resumed_epoch = -1;
    std::string device;
    std::map<int, int> epochs;  // Epoch -> times reported.
    std::vector<std::string> lines;
    int checkpoint_epoch = 0;
    // A checkpoint came before the metrics of one of its epochs.
    bool checkpoint_ahead = false;
    std::vector<v1::ArtifactRef> checkpoint;
    std::vector<v1::FinishAttemptRequest> finishes;
  };

  // Everything below is shared; tests touch it under `mu` or through the
  // helpers.
  mutable absl::Mutex mu;
  std::deque<v1::Lease> queue ABSL_GUARDED_BY(mu);
  std::map<int64_t, Heard> heard ABSL_GUARDED_BY(mu);
  std::map<std::string, std::string> artifacts ABSL_GUARDED_BY(mu);
  std::map<int64_t, v1::HeartbeatResponse::Action> actions ABSL_GUARDED_BY(mu);
  std::map<int64_t, int> heartbeats ABSL_GUARDED_BY(mu);
  // A person drains the daemon.
  bool drained ABSL_GUARDED_BY(mu) = false;
  // Daemons send no heartbeat of their own, only when a call that waits is
  // answered: the one that `news` names, once ("AwaitNews", "AcquireLeases").
  bool tells ABSL_GUARDED_BY(mu) = false;
  std::string news ABSL_GUARDED_BY(mu);
  std::map<int64_t, v1::AttemptUsage> usage ABSL_GUARDED_BY(mu);
  std::string worker_fault ABSL_GUARDED_BY(mu);  // Of the last heartbeat.
  std::vector<v1::RegisterRequest> registrations ABSL_GUARDED_BY(mu);
  std::map<std::string, int> calls ABSL_GUARDED_BY(mu);
  int64_t session ABSL_GUARDED_BY(mu) = 0;
  // Asked before a call is carried out ("Register", "Upload"...), and, with
  // " reply" behind the name, after: a status that is not OK is the answer.
  std::function<absl::Status(const std::string& call)> fault
      ABSL_GUARDED_BY(mu);

  // Queues a job; returns its token. `dataset`: its bytes.
  int64_t AddLease(const std::string& model, int slots = 1,
                   const std::string& dataset = "dataset") {
    absl::MutexLock lock(&mu);
    v1::Lease lease;
    lease.set_token(++last_token_);
    lease.set_slots(slots);
    lease.mutable_spec()->set_job("s1/" + model + "/0");
    lease.mutable_spec()->mutable_model()->set_name(model);
    lease.mutable_spec()->add_validation_samples("S0");
    *lease.mutable_dataset() = StoreLocked(dataset, "dataset.safetensors");
    queue.push_back(lease);
    return lease.token();
  }

  // Queues a job that runs `command`, the user's own; returns its token.
  int64_t AddProgram(const std::string& model, const std::string& command) {
    const int64_t token = AddLease(model);
    absl::MutexLock lock(&mu);
    queue.back()
        .mutable_spec()
        ->mutable_model()
        ->mutable_arch()
        ->mutable_exec()
        ->add_command(command);
    return token;
  }

  // Adds a file that a lease's attempt starts with.
  void AddInput(int64_t token, const std::string& name,
                const std::string& bytes) {
    absl::MutexLock lock(&mu);
    for (v1::Lease& lease : queue) {
      if (lease.token() != token) continue;
      *lease.add_inputs() = StoreLocked(bytes, name);
    }
  }

  // Makes a lease's attempt predict `samples` instead of training.
  void SetPredicting(int64_t token, const std::vector<std::string>& samples) {
    absl::MutexLock lock(&mu);
    for (v1::Lease& lease : queue) {
      if (lease.token() != token) continue;
      lease.mutable_spec()->clear_validation_samples();
      lease.mutable_spec()->set_tta(2);
      lease.mutable_spec()->mutable_predict_samples()->Assign(samples.begin(),
                                                              samples.end());
    }
  }

  v1::ArtifactRef Store(const std::string& bytes, const std::string& name) {
    absl::MutexLock lock(&mu);
    return StoreLocked(bytes, name);
  }

  // Waits until `condition` holds, asked under `mu`; false after 20 s.
  bool WaitUntil(const std::function<bool()>& condition) {
    absl::MutexLock lock(&mu);
    return mu.AwaitWithTimeout(
        absl::Condition(
            +[](const std::function<bool()>* asked) { return (*asked)(); },
            &condition),
        absl::Seconds(20));
  }

  void SetFault(std::function<absl::Status(const std::string&)> now) {
    absl::MutexLock lock(&mu);
    fault = std::move(now);
  }

  // Every call fails as if nobody listened.
  void GoAway() {
    SetFault([](const std::string&) {
      return absl::UnavailableError("connection refused");
    });
  }
  void ComeBack() { SetFault(nullptr); }

  absl::StatusOr<v1::RegisterResponse> Register(
      const v1::RegisterRequest& request) override {
    absl::MutexLock lock(&mu);
    if (absl::Status status = Enter("Register"); !status.ok()) return status;
    registrations.push_back(request);
    v1::RegisterResponse response;
    response.set_session(++session);
    auto& interval =
        *response.mutable_lease_terms()->mutable_heartbeat_interval();
    tells ? interval.set_seconds(3600) : interval.set_nanos(20'000'000);
    return Leave<v1::RegisterResponse>("Register", response);
  }

  absl::StatusOr<v1::AcquireLeasesResponse> AcquireLeases(
      const v1::AcquireLeasesRequest& request) override {
    absl::MutexLock lock(&mu);
    if (absl::Status status = Enter("AcquireLeases"); !status.ok()) {
      return status;
    }
    const auto ready = [this, &request] {
      return cancelled_ || ended_ || fault != nullptr ||
             (!queue.empty() &&
              queue.front().slots() <= request.free_slots()) ||
             news == "AcquireLeases";
    };
    mu.AwaitWithTimeout(absl::Condition(&ready),
                        absl::Seconds(request.wait_seconds()));
    if (news == "AcquireLeases") news.clear();
    ended_ = false;
    if (cancelled_) return absl::CancelledError("hung up");
    if (request.session() != session) return absl::NotFoundError("session");
    v1::AcquireLeasesResponse response;
    const auto leases = Take(request.free_slots(), request.max_leases());
    response.mutable_leases()->Assign(leases.begin(), leases.end());
    return Leave<v1::AcquireLeasesResponse>("AcquireLeases", response);
  }

  absl::Status AwaitNews(const v1::AcquireLeasesRequest& request) override {
    absl::MutexLock lock(&mu);
    if (!tells) return absl::UnimplementedError("no news");
    if (absl::Status status = Enter("AwaitNews"); !status.ok()) return status;
    const auto ready = [this] {
      return news_cancelled_ || news == "AwaitNews";
    };
    mu.AwaitWithTimeout(absl::Condition(&ready),
                        absl::Seconds(request.wait_seconds()));
    if (news == "AwaitNews") news.clear();
    return news_cancelled_ ? absl::CancelledError("hung up") : absl::OkStatus();
  }

  void CancelNews() override {
    absl::MutexLock lock(&mu);
    news_cancelled_ = true;
  }

  absl::StatusOr<v1::HeartbeatResponse> Heartbeat(
      const v1::HeartbeatRequest& request) override {
    absl::MutexLock lock(&mu);
    if (absl::Status status = Enter("Heartbeat"); !status.ok()) return status;
    if (request.session() != session) return absl::NotFoundError("session");
    if (request.tokens().empty()) ++calls["idle Heartbeat"];
    v1::HeartbeatResponse response;
    response.set_drained(drained);
    worker_fault = request.fault();
    for (const auto& one : request.usage()) usage[one.token()] = one;
    for (const int64_t token : request.tokens()) {
      ++heartbeats[token];
      auto* answer = response.add_answers();
      answer->set_token(token);
      answer->set_action(actions.count(token) > 0
                             ? actions[token]
                             : v1::HeartbeatResponse::CONTINUE);
    }
    return Leave<v1::HeartbeatResponse>("Heartbeat", response);
  }

  absl::StatusOr<v1::ReportProgressResponse> ReportProgress(
      const v1::ReportProgressRequest& request) override {
    absl::MutexLock lock(&mu);
    if (absl::Status status = Enter("ReportProgress"); !status.ok()) {
      return status;
    }
    Heard& now = heard[request.token()];
    if (request.started()) {
      now.started = true;
      now.device = request.device();
      now.resumed_epoch = request.resumed_epoch();
    }
    for (const auto& epoch : request.epochs()) ++now.epochs[epoch.epoch()];
    for (const auto& line : request.lines()) {
      now.lines.push_back(line.level() + ": " + line.text());
    }
    for (const auto& artifact : request.checkpoint()) {
      if (artifacts.count(artifact.digest()) == 0) {
        return absl::FailedPreconditionError("checkpoint not stored");
      }
    }
    if (!request.checkpoint().empty()) {
      for (int epoch = 1; epoch <= request.checkpoint_epoch(); ++epoch) {
        now.checkpoint_ahead |= now.epochs.count(epoch) == 0;
      }
      now.checkpoint_epoch = request.checkpoint_epoch();
      now.checkpoint.assign(request.checkpoint().begin(),
                            request.checkpoint().end());
    }
    return Leave<v1::ReportProgressResponse>("ReportProgress", {});
  }

  absl::StatusOr<v1::FinishAttemptResponse> FinishAttempt(
      const v1::FinishAttemptRequest& request) override {
    absl::MutexLock lock(&mu);
    if (absl::Status status = Enter("FinishAttempt"); !status.ok()) {
      return status;
    }
    if (request.session() != session) return absl::NotFoundError("session");
    heard[request.token()].finishes.push_back(request);
    v1::FinishAttemptResponse response;
    const auto leases = Take(request.free_slots(), request.next_leases());
    if (request.next_leases() > 0) {
      response.mutable_next_leases()->Assign(leases.begin(), leases.end());
    }
    return Leave<v1::FinishAttemptResponse>("FinishAttempt", response);
  }

  absl::StatusOr<v1::ArtifactRef> Upload(const std::string& path,
                                         const Cancelled& cancelled) override {
    const absl::StatusOr<std::string> bytes = ReadFile(path);
    if (!bytes.ok()) return bytes.status();
    if (cancelled()) return absl::CancelledError("stopped");
    absl::MutexLock lock(&mu);
    if (absl::Status status = Enter("Upload"); !status.ok()) return status;
    return Leave<v1::ArtifactRef>("Upload",
                                  StoreLocked(*bytes, BaseName(path)));
  }

  absl::Status Download(const v1::ArtifactRef& artifact,
                        const std::string& path, const Cancelled&) override {
    std::string bytes;
    {
      absl::MutexLock lock(&mu);
      if (absl::Status status = Enter("Download"); !status.ok()) return status;
      const auto found = artifacts.find(artifact.digest());
      if (found == artifacts.end()) return absl::NotFoundError("no artifact");
      bytes = found->second;
    }
    return WriteFileAtomically(path, bytes);
  }

  void EndWait() override {
    absl::MutexLock lock(&mu);
    ended_ = true;
  }

  void CancelWaits() override {
    absl::MutexLock lock(&mu);
    cancelled_ = true;
  }

 private:
  absl::Status Enter(const std::string& call)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    ++calls[call];
    return fault ? fault(call) : absl::OkStatus();
  }

  template <typename T>
  absl::StatusOr<T> Leave(const std::string& call, const T& response)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    if (!fault) return response;
    if (absl::Status status = fault(call + " reply"); !status.ok()) {
      return status;
    }
    return response;
  }

  std::vector<v1::Lease> Take(int slots, int max)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    std::vector<v1::Lease> leases;
    while (!queue.empty() && queue.front().slots() <= slots &&
           (max == 0 || static_cast<int>(leases.size()) < max)) {
      slots -= queue.front().slots();
      leases.push_back(queue.front());
      queue.pop_front();
    }
    return leases;
  }

  v1::ArtifactRef StoreLocked(const std::string& bytes, const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    v1::ArtifactRef artifact;
    artifact.set_name(name);
    artifact.set_digest(Sha256Hex(bytes));
    artifact.set_size_bytes(static_cast<int64_t>(bytes.size()));
    artifacts[artifact.digest()] = bytes;
    return artifact;
  }

  int64_t last_token_ ABSL_GUARDED_BY(mu) = 0;
  bool cancelled_ ABSL_GUARDED_BY(mu) = false;
  bool ended_ ABSL_GUARDED_BY(mu) = false;
  bool news_cancelled_ ABSL_GUARDED_BY(mu) = false;
};

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_WORKER_AGENT_FAKE_COORDINATOR_H_
