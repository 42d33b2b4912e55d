// The part of JobQueue that keeps track of workers: register, heartbeat.
#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/report_limits.h"
#include "coordinator/queue/run_work.h"

namespace foldfarm {
namespace {

// Stale tokens of one heartbeat that are looked up in the tables.
constexpr size_t kMostStale = 256;

// A worker that was not heard for so long is forgotten when the next one comes.
// By default a worker has another name each time it starts.
constexpr absl::Duration kForgetAfter = absl::Hours(7 * 24);

absl::Status UnknownSession(int64_t session) {
  return absl::NotFoundError(
      absl::StrCat("worker session ", session, " is unknown; register again"));
}

// Whether `request` may have its name, whose workers are among `workers`. Two
// daemons of one name would take it from each other for ever, and with it their
// leases.
absl::Status CheckName(
    const absl::flat_hash_map<WorkerSession, WorkerView>& workers,
    const v1::RegisterRequest& request, absl::Time now, absl::Duration lease) {
  for (const auto& [session, worker] : workers) {
    if (worker.row.name != request.name()) continue;
    if (request.former_session() != 0) {
      // Its own, or registered by itself, when the answer was lost.
      if (session.value <= request.former_session() || !worker.used) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          "another worker has registered as ", request.name(), ", on host ",
          worker.row.host, "; give each a --name of its own"));
    }
    const bool elsewhere = !worker.row.host.empty() &&
                           !request.host().empty() &&
                           worker.row.host != request.host();
    if (!elsewhere || worker.draining || now - worker.last_heard >= lease) {
      continue;
    }
    return absl::FailedPreconditionError(absl::StrCat(
        "worker ", request.name(), " runs on host ", worker.row.host,
        ", heard ", absl::ToInt64Seconds(now - worker.last_heard),
        " s ago; give each worker a --name of its own (when that one is gone, "
        "its name is free after ",
        absl::FormatDuration(lease), ")"));
  }
  return absl::OkStatus();
}

}  // namespace

void JobQueue::Register(v1::RegisterRequest request,
                        Answer<v1::RegisterResponse> answer) {
  CleanRegister(request);
  RunWork<v1::RegisterResponse>(
      store_,
      [this, request = std::move(request)](Tx& tx,
                                           v1::RegisterResponse& response) {
        return DoRegister(tx, request, response);
      },
      std::move(answer));
}

absl::Status JobQueue::DoRegister(Tx& tx, const v1::RegisterRequest& request,
                                  v1::RegisterResponse& response) {
  if (!IsValidName(request.name(), 200)) {
    return absl::InvalidArgumentError(
        absl::StrCat("worker name is \"", request.name(),
                     "\", expected 1 to 200 of [A-Za-z0-9._-]"));
  }
  if (request.slots() < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("worker ", request.name(), " has ", request.slots(),
                     " slots, expected at least 1"));
  }
  FOLDFARM_RETURN_IF_ERROR(CheckWorkerTexts(request));
  const absl::Time now = clock_.Now();
  WorkerView view;
  view.row.name = request.name();
  view.row.host = request.host();
  view.row.devices.assign(request.devices().begin(), request.devices().end());
  view.row.slots = request.slots();
  view.row.version = request.version();
  view.row.allow_exec = request.allow_exec();
  view.row.start_time = now;
  if (request.seconds_left() > 0) {
    view.row.stop_time = now + absl::Seconds(request.seconds_left());
  }
  view.last_heard = now;
  {
    absl::MutexLock lock(&mu_);
    FOLDFARM_RETURN_IF_ERROR(
        CheckName(workers_, request, now, options_.lease_duration));
  }
  FOLDFARM_ASSIGN_OR_RETURN(view.row.session, tx.InsertWorker(view.row));
  const WorkerSession session = view.row.session;

  const absl::flat_hash_set<int64_t> held(request.held_tokens().begin(),
                                          request.held_tokens().end());
  std::vector<FencingToken> kept, released;
  std::vector<WorkerSession> gone;
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [old, worker] : workers_) {
      if (now - std::max(worker.last_heard, worker.row.start_time) >=
              kForgetAfter &&
          holds_.count(worker.row.name) == 0) {
        gone.push_back(old);
      }
    }
    for (const auto& [token, lease] : leases_) std::erase(gone, lease.session);
    for (const WorkerSession old : gone) {
      index_.EndReservationsOf(old);
      workers_.erase(old);
    }
    absl::flat_hash_set<WorkerSession> former;
    for (const auto& [old, worker] : workers_) {
      if (worker.row.name == request.name()) former.insert(old);
    }
    for (auto& [token, lease] : leases_) {
      // Of another worker's leases it holds none, whatever it says.
      const bool its =
          former.contains(lease.session) || !workers_.contains(lease.session);
      if (its && held.contains(token.value)) {
        kept.push_back(token);
      } else if (former.contains(lease.session)) {
        released.push_back(token);
      }
    }
    for (const WorkerSession old : former) {
      workers_.erase(old);
      index_.MoveReservations(old, session);
    }
    workers_[session] = view;
    for (const FencingToken token : kept) {
      leases_[token].session = session;
      leases_[token].until = now + options_.lease_duration;
      leases_[token].persisted_until = leases_[token].until;
      leases_[token].heartbeat = now;
    }
  }
  for (const WorkerSession old : gone) {
    FOLDFARM_RETURN_IF_ERROR(tx.DropWorker(old));
  }
  for (const FencingToken token : kept) {
    FOLDFARM_ASSIGN_OR_RETURN(std::optional<AttemptRow> attempt,
                              tx.FindAttempt(token));
    if (!attempt.has_value()) continue;
    attempt->session = session;
    attempt->lease_until = now + options_.lease_duration;
    attempt->heartbeat_time = now;
    FOLDFARM_RETURN_IF_ERROR(tx.UpdateAttempt(*attempt));
  }
  for (const FencingToken token : released) {
    FOLDFARM_RETURN_IF_ERROR(EndUnreported(
        tx, token, v1::Attempt::PREEMPTED,
        absl::StrCat("worker ", request.name(), " was restarted")));
  }
  for (const int64_t token : request.held_tokens()) {
    if (std::find(kept.begin(), kept.end(), FencingToken{token}) ==
        kept.end()) {
      response.add_stale_tokens(token);
      FOLDFARM_RETURN_IF_ERROR(ForgiveLoss(tx, session, FencingToken{token}));
    }
  }
  response.set_session(session.value);
  v1::LeaseTerms& terms = *response.mutable_lease_terms();
  const auto set = [](google::protobuf::Duration& to, absl::Duration from) {
    to.set_seconds(absl::IDivDuration(from, absl::Seconds(1), &from));
    to.set_nanos(static_cast<int>(absl::ToInt64Nanoseconds(from)));
  };
  set(*terms.mutable_duration(), options_.lease_duration);
  set(*terms.mutable_heartbeat_interval(), options_.heartbeat_interval);
  SPDLOG_INFO("worker={} session={} slots={} registered, attempts kept={}",
              request.name(), session.value, request.slots(), kept.size());
  return absl::OkStatus();
}

absl::StatusOr<int> JobQueue::TouchWorker(int64_t session) {
  absl::MutexLock lock(&mu_);
  const auto it = workers_.find(WorkerSession{session});
  if (it == workers_.end()) return UnknownSession(session);
  it->second.last_heard = clock_.Now();
  it->second.used = true;
  return it->second.row.slots;
}

void JobQueue::Heartbeat(v1::HeartbeatRequest request,
                         Answer<v1::HeartbeatResponse> answer) {
  ClipHeartbeat(request);
  RunWork<v1::HeartbeatResponse>(
      store_,
      [this, request = std::move(request)](Tx& tx,
                                           v1::HeartbeatResponse& response) {
        return DoHeartbeat(tx, request, response);
      },
      std::move(answer));
}

absl::Status JobQueue::DoHeartbeat(Tx& tx, const v1::HeartbeatRequest& request,
                                   v1::HeartbeatResponse& response) {
  FOLDFARM_RETURN_IF_ERROR(TouchWorker(request.session()).status());
  const WorkerSession session{request.session()};
  const absl::Time now = clock_.Now();
  const absl::Time until = now + options_.lease_duration;
  const absl::flat_hash_set<int64_t> named(request.tokens().begin(),
                                           request.tokens().end());
  std::vector<FencingToken> persist, unknown, stale;
  if (!request.fault().empty()) {
    std::string name;
    {
      absl::MutexLock lock(&mu_);
      name = workers_[session].row.name;
    }
    FOLDFARM_RETURN_IF_ERROR(Quarantine(tx, name, request.fault()));
  }
  {
    absl::MutexLock lock(&mu_);
    news_.erase(session);
    WorkerView& worker = workers_[session];
    worker.draining = request.draining();
    if (worker.draining) index_.EndReservationsOf(session);
    response.set_drained(holds_.count(worker.row.name) > 0);
    for (const int64_t token : request.tokens()) {
      v1::HeartbeatResponse::Answer& answer = *response.add_answers();
      answer.set_token(token);
      const auto it = leases_.find(FencingToken{token});
      if (it == leases_.end() || it->second.session != session) {
        answer.set_action(v1::HeartbeatResponse::STALE);
        if (stale.size() < kMostStale) stale.push_back(FencingToken{token});
        continue;
      }
      HeldLease& lease = it->second;
      answer.set_action(lease.cancel ? v1::HeartbeatResponse::CANCEL
                        : lease.preempt || response.drained()
                            ? v1::HeartbeatResponse::PREEMPT
                            : v1::HeartbeatResponse::CONTINUE);
      lease.until = until;
      lease.heartbeat = now;
      // The database may lag: a restart grants a full term anyway.
      if (until - lease.persisted_until >= options_.lease_duration / 3) {
        lease.persisted_until = until;
        persist.push_back(it->first);
      }
    }
    for (const v1::AttemptUsage& usage : request.usage()) {
      const auto it = leases_.find(FencingToken{usage.token()});
      if (it == leases_.end() || it->second.session != session) continue;
      HeldLease& lease = it->second;
      const absl::Duration since = now - lease.usage_time;
      const double used = usage.cpu_seconds() - lease.usage.cpu_seconds();
      lease.cpus = lease.usage_time == absl::InfinitePast() ||
                           since <= absl::ZeroDuration()
                       ? 0
                       : std::max(0.0, used / absl::ToDoubleSeconds(since));
      lease.usage = usage;
      lease.usage_time = now;
    }
    // A lease whose grant was lost on the way: the worker never named it.
    for (const auto& [token, lease] : leases_) {
      if (lease.session == session && !named.contains(token.value) &&
          lease.heartbeat == absl::InfinitePast() &&
          now - lease.granted > options_.heartbeat_interval) {
        unknown.push_back(token);
      }
    }
  }
  for (const FencingToken token : persist) {
    FOLDFARM_RETURN_IF_ERROR(tx.ExtendLease(token, until, now));
  }
  for (const FencingToken token : unknown) {
    FOLDFARM_RETURN_IF_ERROR(
        EndUnreported(tx, token, v1::Attempt::PREEMPTED,
                      "the lease did not reach the worker"));
  }
  for (const FencingToken token : stale) {
    FOLDFARM_RETURN_IF_ERROR(ForgiveLoss(tx, session, token));
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
