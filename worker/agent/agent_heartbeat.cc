// The part of Agent that registers, keeps its leases and hears what to stop.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "worker/agent/agent.h"
#include "worker/agent/process_usage.h"
#include "worker/agent/worker_fault.h"

namespace foldfarm {
namespace {

// How long one call waits to hear that a heartbeat is wanted.
constexpr absl::Duration kNewsWait = absl::Seconds(60);
// From an answer to the next call: a coordinator that stops answers at once.
constexpr absl::Duration kNewsPause = absl::Milliseconds(50);

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

}  // namespace

absl::Status Agent::Register(int64_t known) {
  absl::MutexLock registering(&register_mu_);
  v1::RegisterRequest request;
  {
    absl::MutexLock lock(&mu_);
    if (session_ != known) return absl::OkStatus();  // Another thread did.
    for (const auto& [token, held] : held_) request.add_held_tokens(token);
  }
  request.set_name(options_.name);
  request.set_host(options_.host);
  request.set_version(options_.version);
  request.set_slots(options_.slots);
  request.set_allow_exec(options_.allow_exec);
  if (drain_at_ != absl::InfiniteDuration()) {
    request.set_seconds_left(
        std::max(0.001, absl::ToDoubleSeconds(drain_at_ - clock_.Monotonic())));
  }
  for (const std::string& device : options_.devices) {
    request.add_devices(device);
  }
  request.set_former_session(known);
  const absl::StatusOr<v1::RegisterResponse> registered =
      api_.Register(request);
  if (known != 0 && absl::IsFailedPrecondition(registered.status())) {
    {
      absl::MutexLock lock(&mu_);
      replaced_ = registered.status();
    }
    Kill();
  }
  FOLDFARM_RETURN_IF_ERROR(registered.status());
  const v1::RegisterResponse& response = *registered;
  absl::MutexLock lock(&mu_);
  session_ = response.session();
  const absl::Duration interval =
      FromProto(response.lease_terms().heartbeat_interval());
  if (interval > absl::ZeroDuration()) heartbeat_interval_ = interval;
  for (const int64_t token : response.stale_tokens()) {
    StopToken(token, StopReason::kAbandon);
  }
  changed_.SignalAll();
  SPDLOG_INFO("worker={} session={} registered, {} slots on {}", options_.name,
              session_, options_.slots, absl::StrJoin(options_.devices, ","));
  return absl::OkStatus();
}

void Agent::HeartbeatLoop() {
  int failures = 0;
  while (true) {
    {
      absl::MutexLock lock(&mu_);
      // After an outage the lease may be short: hurry until one got through.
      absl::Duration wait = heartbeat_interval_;
      if (failures > 0) wait = std::min(wait, OutageDelay(failures));
      absl::Duration end = clock_.Monotonic() + wait;
      if (!draining_) end = std::min(end, drain_at_);
      while (!stopped_ && !beat_now_ && clock_.Monotonic() < end) {
        clock_.WaitFor(changed_, mu_, end - clock_.Monotonic());
      }
      beat_now_ = false;
      if (stopped_) return;
    }
    if (clock_.Monotonic() >= drain_at_) Drain();
    v1::HeartbeatRequest request;
    {
      absl::MutexLock lock(&mu_);
      request.set_session(session_);
      request.set_draining(draining_);
      for (const auto& [token, held] : held_) request.add_tokens(token);
    }
    // A user's program can fill the disk by itself, and what it wrote goes with
    // its folder, before it leaves held_. Blamed for it, one worker after
    // another that gets the job would be quarantined.
    if (!RunsProgram(/*except=*/0)) request.set_fault(RoomFault(options_.dir));
    AddUsage(request);
    const auto response = api_.Heartbeat(request);
    absl::Status status = response.status();
    if (absl::IsNotFound(status)) status = Register(request.session());
    failures = status.ok() ? 0 : failures + 1;
    if (!response.ok()) continue;
    absl::MutexLock lock(&mu_);
    if (drained_ != response->drained()) {
      drained_ = response->drained();
      SPDLOG_WARN("worker={} {}", options_.name,
                  drained_ ? "is drained by the coordinator, see foldfarm "
                             "workers; it takes no jobs until undrained"
                           : "is undrained and takes jobs again");
      changed_.SignalAll();
    }
    for (const auto& answer : response->answers()) {
      if (answer.action() == v1::HeartbeatResponse::CANCEL) {
        StopToken(answer.token(), StopReason::kCancel);
      } else if (answer.action() == v1::HeartbeatResponse::STALE) {
        StopToken(answer.token(), StopReason::kAbandon);
      } else if (answer.action() == v1::HeartbeatResponse::PREEMPT) {
        StopToken(answer.token(), StopReason::kDrain);
      }
    }
  }
}

bool Agent::RunsProgram(int64_t except) const {
  absl::MutexLock lock(&mu_);
  return std::any_of(held_.begin(), held_.end(), [except](const auto& entry) {
    return entry.first != except &&
           entry.second->lease.spec().model().arch().has_exec();
  });
}

void Agent::AddUsage(v1::HeartbeatRequest& request) {
  std::map<int64_t, pid_t> processes;
  std::vector<pid_t> roots;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [token, held] : held_) {
      const pid_t pid = held->control.process();
      if (pid <= 0) continue;
      processes[token] = pid;
      roots.push_back(pid);
    }
  }
  const std::map<pid_t, ProcessUsage> measured = MeasureProcessTrees(roots);
  absl::MutexLock lock(&mu_);
  for (const auto& [token, pid] : processes) {
    const auto found = held_.find(token);
    const auto usage = measured.find(pid);
    if (found == held_.end() || usage == measured.end()) continue;
    AttemptControl& control = found->second->control;
    control.NoteUsage(usage->second);
    const ProcessUsage now = control.usage();
    v1::AttemptUsage& said = *request.add_usage();
    said.set_token(token);
    said.set_memory_bytes(now.memory_bytes);
    said.set_peak_memory_bytes(now.peak_memory_bytes);
    said.set_cpu_seconds(now.cpu_seconds);
  }
}

void Agent::StopToken(int64_t token, StopReason reason) {
  const auto found = held_.find(token);
  if (found == held_.end() || found->second->finishing) return;
  Held& held = *found->second;
  if (held.control.reason() >= reason) return;
  SPDLOG_WARN("attempt={} job={} {}", token, held.lease.spec().job(),
              reason == StopReason::kCancel  ? "is cancelled"
              : reason == StopReason::kDrain ? "is wanted back"
                                             : "is stale: killing it");
  held.control.Stop(reason);
}

void Agent::BeatNow() {
  beat_now_ = true;
  changed_.SignalAll();
}

void Agent::NewsLoop() {
  int failures = 0;
  while (true) {
    v1::AcquireLeasesRequest request;
    {
      absl::MutexLock lock(&mu_);
      const absl::Duration end =
          clock_.Monotonic() +
          (failures > 0 ? OutageDelay(failures) : kNewsPause);
      // Idle, its leases are its news; but not while it asks for none.
      const auto needs_none = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return held_.empty() && !drained_;
      };
      while (!stopped_ && (needs_none() || clock_.Monotonic() < end)) {
        if (needs_none()) {
          changed_.Wait(&mu_);
        } else {
          clock_.WaitFor(changed_, mu_, end - clock_.Monotonic());
        }
      }
      if (stopped_) return;
      request.set_session(session_);
    }
    request.set_wait_seconds(absl::ToDoubleSeconds(kNewsWait));
    const absl::Duration asked = clock_.Monotonic();
    const absl::Status status = api_.AwaitNews(request);
    if (absl::IsCancelled(status) || absl::IsUnimplemented(status)) return;
    failures = status.ok() ? 0 : failures + 1;
    // One that waited to its end was told nothing.
    if (!status.ok() || clock_.Monotonic() - asked >= kNewsWait) continue;
    absl::MutexLock lock(&mu_);
    BeatNow();
  }
}

}  // namespace foldfarm
