// The daemon: keeps a box's slots busy with attempts.
//
// 1. Register once; again, naming the attempts held, whenever the coordinator
//    no longer knows the session, and after every AcquireLeases that broke off,
//    because leases may have been granted in a reply that was lost.
// 2. One thread waits for leases for the slots that are free. Each lease runs
// in
//    a thread of its own (AttemptRunner). Finishing an attempt asks for the
//    next leases in the same call, and they start in the slots it had.
// 3. One thread sends heartbeats for everything held, whatever else goes on,
//    and passes on what the coordinator wants stopped.
// 4. While the coordinator is away, training goes on and results wait. Nothing
//    that the network does is ever reported as a failed attempt.
//    A worker that a person drains stays, idle, until it is undrained.
// 5. Drain: no new leases; trainers write a checkpoint and stop; jobs go back
//    uncharged; Run returns. Whoever is not done by the deadline is abandoned:
//    registering once more, with nothing held, gives those jobs back too.
//
// Thread-safe.
#ifndef FOLDFARM_WORKER_AGENT_AGENT_H_
#define FOLDFARM_WORKER_AGENT_AGENT_H_

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "foldfarm/v1/worker.pb.h"
#include "worker/agent/attempt_control.h"
#include "worker/agent/attempt_folder.h"
#include "worker/agent/attempt_runner.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/devices.h"
#include "worker/agent/worker_api.h"

namespace foldfarm {

struct AgentOptions {
  std::string name;
  std::string host;
  std::string version;
  std::vector<std::string> devices = {"cpu"};
  int slots = 1;
  int threads_per_slot = 1;
  std::string dir;      // Cache and scratch.
  std::string trainer;  // The program.
  // Take jobs that run users' programs (ExecSpec).
  bool allow_exec = false;
  // Drain after so many attempts; 0: never.
  int max_jobs = 0;
  // Drain after so long without an attempt; infinite: never.
  absl::Duration exit_when_idle = absl::InfiniteDuration();
  // From the start of a drain until what is left is abandoned; at most half of
  // time_limit.
  absl::Duration drain_timeout = absl::Seconds(60);
  absl::Duration cancel_grace = absl::Seconds(10);
  // Drain so early that Run returns within this time; infinite: never. The
  // coordinator leases no job that needs longer for its first checkpoint.
  absl::Duration time_limit = absl::InfiniteDuration();
  // Of DIR/cache.
  int64_t max_cache_bytes = int64_t{20} << 30;
  // Longest wait of one AcquireLeases call.
  absl::Duration acquire_wait = absl::Seconds(20);
};

class Agent {
 public:
  // Makes the folders. Errors: those of ScratchFolder; NOT_FOUND when the
  // trainer is not there.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(
      const AgentOptions& options, WorkerApi& api, Clock& clock);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Works until drained. Call once.
  //
  // A coordinator that cannot be reached is waited for until then, or for
  // exit_when_idle.
  // Errors: the coordinator refuses this worker (INVALID_ARGUMENT,
  // PERMISSION_DENIED, UNAUTHENTICATED); UNAVAILABLE when it never answered
  // within exit_when_idle or time_limit; CANCELLED after Kill.
  absl::Status Run();

  // Starts the drain; harmless when repeated.
  void Drain();
  // Kills every trainer and makes Run return at once.
  void Kill();

 private:
  // A lease that is held; lives until its attempt is finished or dropped.
  struct Held {
    Held(Clock& clock, v1::Lease taken, SlotPool::Grant slots)
        : control(clock), lease(std::move(taken)), grant(std::move(slots)) {}
    AttemptControl control;
    const v1::Lease lease;
    const SlotPool::Grant grant;
    // FinishAttempt was sent: its answer, not a heartbeat's, decides.
    // Guarded by mu_.
    bool finishing = false;
    std::thread thread;
  };

  Agent(const AgentOptions& options, std::unique_ptr<ScratchFolder> scratch,
        WorkerApi& api, Clock& clock);

  // Registers unless the session is no longer `known`: then another thread has.
  // Outages are the caller's to repeat.
  absl::Status Register(int64_t known) ABSL_LOCKS_EXCLUDED(register_mu_, mu_);
  // Ends when draining. True: the last AcquireLeases broke off, perhaps after
  // its grant.
  bool LeaseLoop();
  // agent_heartbeat.cc
  void HeartbeatLoop();
  // Has a heartbeat sent as soon as the coordinator wants something stopped or
  // ends a drain, as long as attempts run or the worker is drained.
  void NewsLoop();
  void BeatNow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Starts an attempt for each lease, in free slots.
  void Start(std::vector<v1::Lease> leases) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Body of an attempt's thread.
  void RunAttempt(Held& held);
  // Sends the result until the coordinator answers; next leases, if any.
  std::vector<v1::Lease> Deliver(Held& held, AttemptRunner& runner,
                                 v1::FinishAttemptRequest request);
  void StopToken(int64_t token, StopReason reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Waits for `delay`, less when the drain begins.
  void PauseUnlessDraining(absl::Duration delay) ABSL_LOCKS_EXCLUDED(mu_);
  // Without an attempt, until exit_when_idle.
  absl::Duration IdleTimeLeft() const ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until every attempt has ended, abandoning what is late. True:
  // something was, and the coordinator does not know.
  bool AwaitAttempts() ABSL_LOCKS_EXCLUDED(mu_);
  void JoinEnded() ABSL_LOCKS_EXCLUDED(mu_);
  int64_t session() const ABSL_LOCKS_EXCLUDED(mu_);
  // Whether another attempt than `except` is a user's program.
  bool RunsProgram(int64_t except) const ABSL_LOCKS_EXCLUDED(mu_);
  // OK, or why the name is another daemon's now.
  absl::Status Replaced() const ABSL_LOCKS_EXCLUDED(mu_);
  // Measures the trainers and adds what they use.
  void AddUsage(v1::HeartbeatRequest& request) ABSL_LOCKS_EXCLUDED(mu_);

  const AgentOptions options_;
  const std::unique_ptr<ScratchFolder> scratch_;
  WorkerApi& api_;  // Borrowed; outlives this.
  Clock& clock_;    // Borrowed; outlives this.
  DatasetCache cache_;
  const absl::Duration drain_window_;  // From a drain's start to its end.
  const absl::Duration drain_at_;      // By the monotonic clock.

  absl::Mutex register_mu_;  // Held across Register: one at a time.
  mutable absl::Mutex mu_;   // Never held across an RPC, a fork or a join.
  absl::CondVar changed_;    // Anything below.
  int64_t session_ ABSL_GUARDED_BY(mu_) = 0;  // 0: not registered.
  absl::Duration heartbeat_interval_ ABSL_GUARDED_BY(mu_) = absl::Seconds(10);
  SlotPool slots_ ABSL_GUARDED_BY(mu_);
  // That the AcquireLeases under way offers; 0: none is, or it was ended.
  int offered_slots_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<int64_t, std::unique_ptr<Held>> held_ ABSL_GUARDED_BY(mu_);
  std::list<std::thread> ended_ ABSL_GUARDED_BY(mu_);
  int started_jobs_ ABSL_GUARDED_BY(mu_) = 0;
  int faults_ ABSL_GUARDED_BY(mu_) = 0;  // Of this box, in a row.
  absl::Duration idle_since_ ABSL_GUARDED_BY(mu_);
  bool draining_ ABSL_GUARDED_BY(mu_) = false;
  // The coordinator gives us nothing until a person changes that.
  bool drained_ ABSL_GUARDED_BY(mu_) = false;
  bool beat_now_ ABSL_GUARDED_BY(mu_) = false;
  bool killed_ ABSL_GUARDED_BY(mu_) = false;
  // Not OK: another daemon has the name.
  absl::Status replaced_ ABSL_GUARDED_BY(mu_);
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;  // The heartbeat ends.
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_AGENT_AGENT_H_
