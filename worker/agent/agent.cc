#include "worker/agent/agent.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/backoff.h"
#include "common/base/files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "worker/agent/worker_fault.h"

namespace foldfarm {
namespace {

// How long a drain may take: a short time limit is not all for draining.
absl::Duration DrainWindow(const AgentOptions& options) {
  return std::min(options.drain_timeout, options.time_limit / 2);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(
    const AgentOptions& options, WorkerApi& api, Clock& clock) {
  if (access(options.trainer.c_str(), X_OK) != 0) {
    return Annotate(ErrnoStatus(options.trainer, "cannot execute the trainer"),
                    "--trainer");
  }
  FOLDFARM_ASSIGN_OR_RETURN(auto scratch,
                            ScratchFolder::Create(options.dir, options.name));
  return std::unique_ptr<Agent>(
      new Agent(options, std::move(scratch), api, clock));
}

Agent::Agent(const AgentOptions& options,
             std::unique_ptr<ScratchFolder> scratch, WorkerApi& api,
             Clock& clock)
    : options_(options),
      scratch_(std::move(scratch)),
      api_(api),
      clock_(clock),
      cache_(options.dir, api, options.max_cache_bytes),
      drain_window_(DrainWindow(options)),
      drain_at_(clock.Monotonic() + options.time_limit - drain_window_),
      slots_(options.devices, options.slots),
      idle_since_(clock.Monotonic()) {}

Agent::~Agent() { JoinEnded(); }

absl::Status Agent::Run() {
  // The first registration tells a wrong set-up from a coordinator that is
  // merely not there yet.
  for (int failures = 1;; ++failures) {
    const absl::Status status = Register(0);
    if (status.ok()) break;
    if (absl::IsInvalidArgument(status) || absl::IsPermissionDenied(status) ||
        absl::IsUnauthenticated(status)) {
      return Annotate(status, "the coordinator refuses this worker");
    }
    if (absl::IsFailedPrecondition(status)) {
      SPDLOG_WARN("not registered, trying again: {}",
                  std::string(status.message()));
    }
    PauseUnlessDraining(std::min({OutageDelay(failures), IdleTimeLeft(),
                                  drain_at_ - clock_.Monotonic()}));
    const bool out_of_time = clock_.Monotonic() >= drain_at_;
    const bool idle_for_too_long = IdleTimeLeft() <= absl::ZeroDuration();
    absl::MutexLock lock(&mu_);
    if (killed_) return absl::CancelledError("killed");
    if (draining_) return absl::OkStatus();
    if (out_of_time || idle_for_too_long) {
      // The name is another's, and stayed so.
      if (absl::IsFailedPrecondition(status)) return status;
      // Not as one that did all there was to do.
      SPDLOG_INFO("worker={} leaves without a job", options_.name);
      return absl::UnavailableError(absl::StrCat(
          "the coordinator never answered within ",
          idle_for_too_long
              ? absl::StrCat(absl::FormatDuration(options_.exit_when_idle),
                             " (--exit-when-idle)")
              : absl::StrCat("--time-limit ",
                             absl::FormatDuration(options_.time_limit)),
          ": ", status.message()));
    }
  }
  std::thread heartbeat([this] { HeartbeatLoop(); });
  std::thread news([this] { NewsLoop(); });
  const bool doubtful = LeaseLoop();
  const bool abandoned = AwaitAttempts();
  // A lease that was granted while we hung up, or whose attempt was late, goes
  // back at once, uncharged, instead of running out.
  if ((doubtful || abandoned) && Replaced().ok()) {
    Register(session()).IgnoreError();
  }
  {
    absl::MutexLock lock(&mu_);
    stopped_ = true;
    changed_.SignalAll();
  }
  heartbeat.join();
  api_.CancelNews();
  news.join();
  JoinEnded();
  absl::MutexLock lock(&mu_);
  if (!replaced_.ok()) return Annotate(replaced_, "this worker was replaced");
  if (killed_) return absl::CancelledError("killed");
  SPDLOG_INFO("worker={} drained", options_.name);
  return absl::OkStatus();
}

void Agent::Drain() {
  absl::MutexLock lock(&mu_);
  if (draining_) return;
  SPDLOG_INFO("worker={} draining, {} attempts run", options_.name,
              held_.size());
  draining_ = true;
  for (auto& [token, held] : held_) held->control.Stop(StopReason::kDrain);
  changed_.SignalAll();
  api_.CancelWaits();
}

void Agent::Kill() {
  {
    // First, so that nobody takes it for a mere drain.
    absl::MutexLock lock(&mu_);
    killed_ = true;
  }
  Drain();
  absl::MutexLock lock(&mu_);
  for (auto& [token, held] : held_) held->control.Stop(StopReason::kAbandon);
  changed_.SignalAll();
}

bool Agent::LeaseLoop() {
  bool doubtful = false;
  int failures = 0;
  while (true) {
    JoinEnded();
    v1::AcquireLeasesRequest request;
    absl::Duration pause = absl::ZeroDuration();
    {
      absl::MutexLock lock(&mu_);
      while (!draining_ && ended_.empty() && (slots_.free() == 0 || drained_)) {
        if (!held_.empty()) {
          changed_.Wait(&mu_);
          continue;
        }
        const absl::Duration left =
            idle_since_ + options_.exit_when_idle - clock_.Monotonic();
        if (left <= absl::ZeroDuration()) break;
        clock_.WaitFor(changed_, mu_, std::min(left, absl::Hours(1)));
      }
      if (draining_) return doubtful;
      // Also while every slot's end brings the next job.
      if (!ended_.empty()) continue;
      if (held_.empty() &&
          clock_.Monotonic() - idle_since_ >= options_.exit_when_idle) {
        SPDLOG_INFO("worker={} idle for {}", options_.name,
                    absl::FormatDuration(options_.exit_when_idle));
        return doubtful;
      }
      request.set_session(session_);
      if (options_.max_jobs > 0) {
        request.set_max_leases(options_.max_jobs - started_jobs_);
      }
      absl::Duration wait = options_.acquire_wait;
      if (held_.empty()) {
        wait = std::min(
            wait, idle_since_ + options_.exit_when_idle - clock_.Monotonic());
      }
      request.set_wait_seconds(std::max(0.0, absl::ToDoubleSeconds(wait)));
      if (faults_ > 0) {
        pause = BackoffDelay(BackoffPolicy{}, faults_, /*random=*/0.5);
      }
    }
    if (pause > absl::ZeroDuration()) {
      PauseUnlessDraining(pause);
      absl::MutexLock lock(&mu_);
      if (draining_) return doubtful;
    }
    absl::Status status;
    if (doubtful) status = Register(request.session());
    if (status.ok()) {
      doubtful = false;
      {
        absl::MutexLock lock(&mu_);
        request.set_session(session_);
        request.set_free_slots(slots_.free());
        offered_slots_ = request.free_slots();
      }
      absl::StatusOr<v1::AcquireLeasesResponse> response =
          api_.AcquireLeases(request);
      status = response.status();
      absl::MutexLock lock(&mu_);
      offered_slots_ = 0;
      if (response.ok()) {
        failures = 0;
        // Answered for another reason than work, perhaps: ask which.
        if (response->leases().empty() && (!held_.empty() || drained_)) {
          BeatNow();
        }
        Start({response->leases().begin(), response->leases().end()});
        if (options_.max_jobs > 0 && started_jobs_ >= options_.max_jobs) {
          return doubtful;
        }
        continue;
      }
    }
    // NOT_FOUND: the session is not known, so nothing was granted, but
    // registering is the remedy for both.
    doubtful = true;
    absl::MutexLock lock(&mu_);
    if (draining_) return doubtful;
    ++failures;
    if (absl::IsNotFound(status) && failures == 1) continue;
    const absl::Duration end = clock_.Monotonic() + OutageDelay(failures);
    while (!draining_ && clock_.Monotonic() < end) {
      clock_.WaitFor(changed_, mu_, end - clock_.Monotonic());
    }
  }
}

void Agent::Start(std::vector<v1::Lease> leases) {
  for (v1::Lease& lease : leases) {
    const int64_t token = lease.token();
    if (held_.count(token) > 0) continue;
    SlotPool::Grant grant = slots_.Take(std::max(1, lease.slots()));
    SPDLOG_INFO("attempt={} job={} device={} leased", token, lease.spec().job(),
                grant.device);
    auto held =
        std::make_unique<Held>(clock_, std::move(lease), std::move(grant));
    // Leased in the very moment of a drain: hands itself back.
    if (draining_) held->control.Stop(StopReason::kDrain);
    if (killed_) held->control.Stop(StopReason::kAbandon);
    ++started_jobs_;
    Held& started = *held;
    held_[token] = std::move(held);
    started.thread = std::thread([this, &started] { RunAttempt(started); });
  }
  changed_.SignalAll();  // The news are of what is held.
}

void Agent::RunAttempt(Held& held) {
  const int64_t token = held.lease.token();
  std::vector<v1::Lease> next;
  bool at_fault = false;
  bool delivered = false;
  {
    AttemptRunner::Options options;
    options.scratch = scratch_->path();
    options.device = held.grant.device;
    options.allow_exec = options_.allow_exec;
    options.beside_program = [this, token] { return RunsProgram(token); };
    options.trainer.program = options_.trainer;
    options.trainer.threads =
        options_.threads_per_slot * std::max(1, held.lease.slots());
    options.trainer.cancel_grace = options_.cancel_grace;
    // Leaves time to hand the jobs back before the drain's deadline.
    options.trainer.drain_grace = drain_window_ * 0.75;
    AttemptRunner runner(options, held.lease, api_, cache_, clock_,
                         held.control);
    std::optional<v1::FinishAttemptRequest> request = runner.Run();
    at_fault = runner.worker_at_fault();
    delivered = request.has_value();
    if (request.has_value()) {
      next = Deliver(held, runner, *std::move(request));
    } else {
      SPDLOG_INFO("attempt={} job={} abandoned", token,
                  held.lease.spec().job());
    }
  }
  absl::MutexLock lock(&mu_);
  if (at_fault) {
    ++faults_;
  } else if (delivered) {
    faults_ = 0;
  }
  slots_.Release(held.grant);
  idle_since_ = clock_.Monotonic();
  ended_.push_back(std::move(held.thread));
  held_.erase(token);  // `held` is gone.
  Start(std::move(next));
  if (offered_slots_ > 0 && slots_.free() > offered_slots_) {
    // A job may need more than was offered.
    offered_slots_ = 0;
    api_.EndWait();
  }
  changed_.SignalAll();
}

std::vector<v1::Lease> Agent::Deliver(Held& held, AttemptRunner& runner,
                                      v1::FinishAttemptRequest request) {
  const std::string outcome = v1::Attempt::State_Name(request.outcome());
  {
    absl::MutexLock lock(&mu_);
    held.finishing = true;
    // With max_jobs the lease loop alone takes leases, so that it can count.
    if (!draining_ && !drained_ && faults_ == 0 && !runner.worker_at_fault() &&
        options_.max_jobs == 0) {
      const int slots = static_cast<int>(held.grant.slots.size());
      request.set_free_slots(slots);
      request.set_next_leases(slots);
    }
  }
  for (int failures = 1;; ++failures) {
    request.set_session(session());
    const auto response = api_.FinishAttempt(request);
    if (response.ok()) {
      SPDLOG_INFO("attempt={} job={} {}{}{}", request.token(),
                  held.lease.spec().job(), outcome,
                  request.error().empty() ? "" : ": ", request.error());
      return {response->next_leases().begin(), response->next_leases().end()};
    }
    const absl::Status& status = response.status();
    if (absl::IsAborted(status) || absl::IsInvalidArgument(status)) {
      SPDLOG_WARN("attempt={} job={} {} was refused: {}", request.token(),
                  held.lease.spec().job(), outcome, status.ToString());
      return {};
    }
    if (absl::IsNotFound(status)) Register(request.session()).IgnoreError();
    if (absl::IsFailedPrecondition(status)) {
      SPDLOG_WARN("attempt={} job={}: {}; storing the result again",
                  request.token(), held.lease.spec().job(), status.ToString());
      if (!runner.UploadAgain(request)) return {};
    }
    if (held.control.WaitAtLeast(StopReason::kAbandon, OutageDelay(failures))) {
      return {};
    }
  }
}

void Agent::PauseUnlessDraining(absl::Duration delay) {
  absl::MutexLock lock(&mu_);
  const absl::Duration end = clock_.Monotonic() + delay;
  while (!draining_ && clock_.Monotonic() < end) {
    clock_.WaitFor(changed_, mu_, end - clock_.Monotonic());
  }
}

absl::Duration Agent::IdleTimeLeft() const {
  absl::MutexLock lock(&mu_);
  return idle_since_ + options_.exit_when_idle - clock_.Monotonic();
}

bool Agent::AwaitAttempts() {
  absl::MutexLock lock(&mu_);
  bool abandoned = false;
  std::optional<absl::Duration> deadline;
  while (!held_.empty()) {
    if (!draining_) {  // max_jobs: the last ones train to their end.
      changed_.Wait(&mu_);
      continue;
    }
    if (!deadline.has_value()) {
      // A drain that began late, behind a call that hung, ends no later. What
      // is left of it is for giving back what was late.
      deadline = std::min(clock_.Monotonic(), drain_at_) + drain_window_ * 0.85;
    }
    const absl::Duration left = *deadline - clock_.Monotonic();
    if (left > absl::ZeroDuration()) {
      clock_.WaitFor(changed_, mu_, left);
      continue;
    }
    for (auto& [token, held] : held_) {
      SPDLOG_ERROR(
          "attempt={} job={} could not be handed back in time: killing it",
          token, held->lease.spec().job());
      held->control.Stop(StopReason::kAbandon);
    }
    abandoned = true;
    deadline = absl::InfiniteDuration();
  }
  return abandoned && !killed_;  // Killed, it returns at once.
}

void Agent::JoinEnded() {
  std::list<std::thread> ended;
  {
    absl::MutexLock lock(&mu_);
    ended.swap(ended_);
  }
  for (std::thread& thread : ended) thread.join();
}

absl::Status Agent::Replaced() const {
  absl::MutexLock lock(&mu_);
  return replaced_;
}

int64_t Agent::session() const {
  absl::MutexLock lock(&mu_);
  return session_;
}

}  // namespace foldfarm
