// The part of JobQueue that workers' lives go through: register, acquire,
// heartbeat, expiry.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/run_work.h"
#include "coordinator/queue/sweep_plan.h"

namespace foldfarm {
namespace {

constexpr double kMaxWaitSeconds = 60;
// Leases of one call, whatever was asked for.
constexpr int kMaxLeases = 256;

absl::Status UnknownSession(int64_t session) {
  return absl::NotFoundError(
      absl::StrCat("worker session ", session, " is unknown; register again"));
}

}  // namespace

void JobQueue::Register(v1::RegisterRequest request,
                        Answer<v1::RegisterResponse> answer) {
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
  const absl::Time now = clock_.Now();
  WorkerView view;
  view.row.name = request.name();
  view.row.host = request.host();
  view.row.devices.assign(request.devices().begin(), request.devices().end());
  view.row.slots = request.slots();
  view.row.version = request.version();
  view.row.start_time = now;
  view.last_heard = now;
  FOLDFARM_ASSIGN_OR_RETURN(view.row.session, tx.InsertWorker(view.row));
  const WorkerSession session = view.row.session;

  const absl::flat_hash_set<int64_t> held(request.held_tokens().begin(),
                                          request.held_tokens().end());
  std::vector<FencingToken> kept, released;
  {
    absl::MutexLock lock(&mu_);
    absl::flat_hash_set<WorkerSession> former;
    for (const auto& [old, worker] : workers_) {
      if (worker.row.name == request.name()) former.insert(old);
    }
    for (auto& [token, lease] : leases_) {
      if (held.contains(token.value)) {
        kept.push_back(token);
      } else if (former.contains(lease.session)) {
        released.push_back(token);
      }
    }
    for (const WorkerSession old : former) workers_.erase(old);
    workers_[session] = view;
    for (const FencingToken token : kept) {
      leases_[token].session = session;
      leases_[token].until = now + options_.lease_duration;
      leases_[token].persisted_until = leases_[token].until;
      leases_[token].heartbeat = now;
    }
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
  return it->second.row.slots;
}

void JobQueue::AcquireLeases(v1::AcquireLeasesRequest request, const void* call,
                             Answer<v1::AcquireLeasesResponse> answer) {
  // Either answered after the commit, or handed over to a waiter.
  struct Acquire {
    v1::AcquireLeasesRequest request;
    v1::AcquireLeasesResponse response;
    Answer<v1::AcquireLeasesResponse> answer;
    bool waits = false;
  };
  auto state = std::make_shared<Acquire>();
  state->request = std::move(request);
  state->answer = std::move(answer);
  store_.Run(
      [this, state, call](Tx& tx) -> absl::Status {
        const v1::AcquireLeasesRequest& wanted = state->request;
        FOLDFARM_RETURN_IF_ERROR(TouchWorker(wanted.session()).status());
        FOLDFARM_RETURN_IF_ERROR(Grant(tx, WorkerSession{wanted.session()},
                                       wanted.free_slots(), wanted.max_leases(),
                                       FencingToken{},
                                       state->response.mutable_leases()));
        if (state->response.leases_size() == 0 && wanted.wait_seconds() > 0 &&
            !stop_waiting_) {
          state->waits = true;
          waiters_.push_back(
              {call, wanted,
               clock_.Now() + absl::Seconds(std::min(wanted.wait_seconds(),
                                                     kMaxWaitSeconds)),
               std::move(state->answer)});
        }
        return absl::OkStatus();
      },
      [state](const absl::Status& status) {
        if (state->waits) return;
        if (status.ok()) {
          state->answer(std::move(state->response));
        } else {
          state->answer(status);
        }
      });
}

void JobQueue::StopWaitingFor(const void* call) {
  store_.Run(
      [this, call](Tx& tx) {
        for (auto it = waiters_.begin(); it != waiters_.end(); ++it) {
          if (it->call != call) continue;
          auto answer = std::make_shared<Answer<v1::AcquireLeasesResponse>>(
              std::move(it->answer));
          waiters_.erase(it);
          tx.AfterCommit([answer](const absl::Status&) {
            (*answer)(v1::AcquireLeasesResponse());
          });
          break;
        }
        return absl::OkStatus();
      },
      [](const absl::Status&) {});
}

absl::Status JobQueue::ServeWaiters(Tx& tx) {
  const absl::Time now = clock_.Now();
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    v1::AcquireLeasesResponse response;
    const bool due = stop_waiting_ || it->deadline <= now;
    if (!due && index_.empty()) {
      ++it;
      continue;
    }
    if (!due) {
      const v1::AcquireLeasesRequest& wanted = it->request;
      FOLDFARM_RETURN_IF_ERROR(Grant(
          tx, WorkerSession{wanted.session()}, wanted.free_slots(),
          wanted.max_leases(), FencingToken{}, response.mutable_leases()));
      if (response.leases_size() == 0) {
        ++it;
        continue;
      }
    }
    tx.AfterCommit(
        [answer = std::move(it->answer),
         response = std::move(response)](const absl::Status& status) mutable {
          if (status.ok()) {
            answer(std::move(response));
          } else {
            answer(status);
          }
        });
    it = waiters_.erase(it);
  }
  return absl::OkStatus();
}

absl::Status JobQueue::Grant(
    Tx& tx, WorkerSession session, int free_slots, int max_leases,
    FencingToken granted_by,
    google::protobuf::RepeatedPtrField<v1::Lease>* leases) {
  if (index_.empty()) return absl::OkStatus();
  FOLDFARM_RETURN_IF_ERROR(tx.BeginWrite());
  std::string worker;
  {
    absl::MutexLock lock(&mu_);
    const auto it = workers_.find(session);
    if (it == workers_.end() || it->second.draining) return absl::OkStatus();
    worker = it->second.row.name;
    free_slots = std::min(free_slots, it->second.row.slots);
  }
  const int most =
      max_leases > 0 ? std::min(max_leases, kMaxLeases) : kMaxLeases;
  const absl::Time now = clock_.Now();
  while (leases->size() < most) {
    const std::optional<JobIndex::Entry> entry = index_.Take(free_slots);
    if (!entry.has_value()) break;
    FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> job,
                              tx.FindJob(entry->job));
    if (!job.has_value() || job->state != v1::Job::PENDING) {
      return absl::InternalError(absl::StrCat(
          "the index offers job ", entry->job.value, ", which is not pending"));
    }
    FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> sweep,
                              LoadSweep(tx, job->sweep));
    AttemptRow attempt;
    attempt.job = job->id;
    attempt.number = ++job->attempt_count;
    attempt.session = session;
    attempt.worker = worker;
    attempt.start_time = now;
    attempt.lease_until = now + options_.lease_duration;
    attempt.granted_by = granted_by;
    attempt.resumed_epoch = job->checkpoint_epoch;
    FOLDFARM_ASSIGN_OR_RETURN(attempt.token, tx.InsertAttempt(attempt));
    const FencingToken former = job->token;
    job->token = attempt.token;
    job->epoch = job->checkpoint_epoch;
    job->not_before = absl::InfinitePast();
    job->seconds_per_epoch = 0;
    FOLDFARM_RETURN_IF_ERROR(
        ChangeJob(tx, *job, JobEvent::kGrant, former, worker));
    FOLDFARM_RETURN_IF_ERROR(
        FillLease(tx, *job, attempt, *sweep, *leases->Add()));
    SetLease(attempt, *job, sweep);
    free_slots -= job->slots;
  }
  return absl::OkStatus();
}

absl::Status JobQueue::FillLease(Tx& tx, const JobRow& job,
                                 const AttemptRow& attempt,
                                 const SweepData& sweep, v1::Lease& lease) {
  const v1::ModelSpec& model = sweep.spec.models(job.model_index);
  lease.set_token(attempt.token.value);
  lease.set_slots(job.slots);
  *lease.mutable_dataset() = sweep.dataset;
  v1::AttemptSpec& spec = *lease.mutable_spec();
  spec = sweep.folds[static_cast<size_t>(job.fold)];
  spec.set_job(JobName(job.sweep, job.model, job.fold));
  *spec.mutable_model() = model;
  spec.set_fold(job.fold);
  spec.set_seed(JobSeed(sweep.spec, model, job.fold));
  spec.set_tta(TtaDraws(sweep.spec));
  spec.set_attempt(attempt.number);
  if (job.checkpoint_epoch == 0) return absl::OkStatus();
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::vector<v1::ArtifactRef> checkpoint,
      tx.ListArtifacts(job.id, ArtifactKind::kCheckpoint));
  for (const v1::ArtifactRef& ref : checkpoint) *lease.add_checkpoint() = ref;
  lease.set_checkpoint_epoch(job.checkpoint_epoch);
  return absl::OkStatus();
}

absl::Status JobQueue::ExpireLeases(Tx& tx) {
  const absl::Time now = clock_.Now();
  if (now < next_expiry_) return absl::OkStatus();
  std::vector<std::pair<FencingToken, std::string>> expired;
  absl::Time next = absl::InfiniteFuture();
  {
    absl::MutexLock lock(&mu_);
    for (const auto& [token, lease] : leases_) {
      if (lease.until > now) {
        next = std::min(next, lease.until);
        continue;
      }
      const auto worker = workers_.find(lease.session);
      expired.emplace_back(
          token,
          absl::StrCat(
              "worker ",
              worker == workers_.end() ? "(gone)" : worker->second.row.name,
              " was not heard of for ",
              absl::FormatDuration(options_.lease_duration)));
    }
  }
  std::sort(expired.begin(), expired.end());
  for (const auto& [token, why] : expired) {
    FOLDFARM_RETURN_IF_ERROR(EndUnreported(tx, token, v1::Attempt::LOST, why));
  }
  next_expiry_ = next;
  return absl::OkStatus();
}

absl::Status JobQueue::EndUnreported(Tx& tx, FencingToken token,
                                     v1::Attempt::State state,
                                     const std::string& error) {
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<AttemptRow> attempt,
                            tx.FindAttempt(token));
  if (!attempt.has_value() || attempt->state != v1::Attempt::RUNNING) {
    absl::MutexLock lock(&mu_);
    leases_.erase(token);
    return absl::OkStatus();
  }
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> job,
                            tx.FindJob(attempt->job));
  if (!job.has_value()) {
    return absl::DataLossError(absl::StrCat("database: job ",
                                            attempt->job.value, " of attempt ",
                                            token.value, " is missing"));
  }
  attempt->error = error;
  return EndAttempt(tx, *attempt, *job, {.state = state, .error = error});
}

void JobQueue::Heartbeat(v1::HeartbeatRequest request,
                         Answer<v1::HeartbeatResponse> answer) {
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
  std::vector<FencingToken> persist, unknown;
  {
    absl::MutexLock lock(&mu_);
    workers_[session].draining = request.draining();
    for (const int64_t token : request.tokens()) {
      v1::HeartbeatResponse::Answer& answer = *response.add_answers();
      answer.set_token(token);
      const auto it = leases_.find(FencingToken{token});
      if (it == leases_.end() || it->second.session != session) {
        answer.set_action(v1::HeartbeatResponse::STALE);
        continue;
      }
      HeldLease& lease = it->second;
      answer.set_action(lease.cancel ? v1::HeartbeatResponse::CANCEL
                                     : v1::HeartbeatResponse::CONTINUE);
      lease.until = until;
      lease.heartbeat = now;
      // The database may lag: a restart grants a full term anyway.
      if (until - lease.persisted_until >= options_.lease_duration / 3) {
        lease.persisted_until = until;
        persist.push_back(it->first);
      }
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
  return absl::OkStatus();
}

}  // namespace foldfarm
