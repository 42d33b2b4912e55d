// The part of JobQueue that grants leases, and takes them back when their time
// is up.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/prediction_plan.h"
#include "coordinator/queue/run_work.h"
#include "coordinator/queue/sweep_plan.h"

namespace foldfarm {
namespace {

constexpr double kMaxWaitSeconds = 60;
// Leases of one call, whatever was asked for.
constexpr int kMaxLeases = 256;
// Jobs that one call looks at in vain for a worker with a time limit.
constexpr size_t kMaxTooLong = 64;
// Jobs of several slots for which one call looks for a worker.
constexpr int kMaxReserved = 4;

}  // namespace

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
            !stop_waiting_ && !TakeNews(WorkerSession{wanted.session()})) {
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
  // gRPC calls this from wherever it notices.
  store_.RunLater(
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
  // Both in the same order.
  std::list<Waiter> served;
  std::vector<v1::AcquireLeasesResponse> responses;
  absl::Status failed;
  for (auto it = waiters_.begin(); it != waiters_.end() && failed.ok();) {
    const auto waiter = it++;
    v1::AcquireLeasesResponse response;
    // Who has an attempt to stop, or was drained or undrained, is to ask at
    // once what there is: an empty reply makes it send a heartbeat.
    const bool due = stop_waiting_ || waiter->deadline <= now ||
                     TakeNews(WorkerSession{waiter->request.session()});
    if (!due) {
      if (index_.empty()) continue;
      const v1::AcquireLeasesRequest& wanted = waiter->request;
      failed =
          Grant(tx, WorkerSession{wanted.session()}, wanted.free_slots(),
                wanted.max_leases(), FencingToken{}, response.mutable_leases());
      if (!failed.ok()) {
        waiter->answer(failed);
        waiters_.erase(waiter);
        continue;
      }
      if (response.leases_size() == 0) continue;
    }
    served.splice(served.end(), waiters_, waiter);
    responses.push_back(std::move(response));
  }
  if (!failed.ok()) {
    // What was granted is undone, and those to whom it was wait on.
    auto waiter = served.begin();
    for (const v1::AcquireLeasesResponse& response : responses) {
      if (response.leases_size() > 0) {
        ++waiter;
        continue;
      }
      waiter->answer(v1::AcquireLeasesResponse());
      waiter = served.erase(waiter);
    }
    waiters_.splice(waiters_.begin(), served);
    return failed;
  }
  for (v1::AcquireLeasesResponse& response : responses) {
    tx.AfterCommit(
        [answer = std::move(served.front().answer),
         response = std::move(response)](const absl::Status& status) mutable {
          if (status.ok()) {
            answer(std::move(response));
          } else {
            answer(status);
          }
        });
    served.pop_front();
  }
  return absl::OkStatus();
}

bool JobQueue::TakeNews(WorkerSession session) {
  absl::MutexLock lock(&mu_);
  return news_.erase(session) > 0;
}

absl::Status JobQueue::Grant(
    Tx& tx, WorkerSession session, int free_slots, int max_leases,
    FencingToken granted_by,
    google::protobuf::RepeatedPtrField<v1::Lease>* leases) {
  if (index_.empty()) return absl::OkStatus();
  std::string worker;
  JobIndex::Asker asker{.session = session, .free_slots = free_slots};
  absl::Time stop_time;
  {
    absl::MutexLock lock(&mu_);
    const auto it = workers_.find(session);
    if (it == workers_.end() || it->second.draining ||
        holds_.count(it->second.row.name) > 0) {
      return absl::OkStatus();
    }
    worker = it->second.row.name;
    stop_time = it->second.row.stop_time;
    asker.allow_exec = it->second.row.allow_exec;
    asker.slots = it->second.row.slots;
    asker.free_slots = std::min(free_slots, asker.slots);
  }
  if (index_.empty(asker.allow_exec)) return absl::OkStatus();
  FOLDFARM_RETURN_IF_ERROR(tx.BeginWrite());
  const int most =
      max_leases > 0 ? std::min(max_leases, kMaxLeases) : kMaxLeases;
  const absl::Time now = clock_.Now();
  int reserved = 0;
  // Jobs that the worker cannot bring to a checkpoint before it stops.
  std::vector<JobIndex::Entry> too_long;
  while (leases->size() < most && too_long.size() < kMaxTooLong) {
    const std::optional<JobIndex::Entry> entry = index_.Take(asker);
    if (!entry.has_value()) break;
    FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> job,
                              tx.FindJob(entry->job));
    if (!job.has_value() || job->state != v1::Job::PENDING) {
      return absl::InternalError(absl::StrCat(
          "the index offers job ", entry->job.value, ", which is not pending"));
    }
    FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> sweep,
                              LoadSweep(tx, job->sweep));
    if (stop_time != absl::InfinitePast() &&
        now + TimeToCheckpoint(*job, *sweep) > stop_time) {
      too_long.push_back(*entry);
      continue;
    }
    if (entry->slots > asker.free_slots) {
      index_.PutBack(*entry);
      FOLDFARM_ASSIGN_OR_RETURN(
          const bool kept, ReserveSlots(tx, *entry, *job, *sweep, session));
      if (kept) break;
      // Another worker does it sooner; this one goes on with what fits.
      if (++reserved == kMaxReserved) asker.slots = asker.free_slots;
      continue;
    }
    index_.EndReservation(entry->job);
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
    asker.free_slots -= job->slots;
  }
  for (const JobIndex::Entry& entry : too_long) {
    index_.PutBack(entry);
    absl::MutexLock lock(&mu_);
    too_long_[entry.job] = {worker, stop_time};
  }
  return absl::OkStatus();
}

absl::Status JobQueue::FillLease(Tx& tx, const JobRow& job,
                                 const AttemptRow& attempt,
                                 const SweepData& sweep, v1::Lease& lease) {
  const v1::ModelSpec& model = ModelOf(job, sweep.spec);
  lease.set_token(attempt.token.value);
  lease.set_slots(job.slots);
  *lease.mutable_dataset() = sweep.dataset;
  v1::AttemptSpec& spec = *lease.mutable_spec();
  spec = sweep.folds[static_cast<size_t>(job.fold)];
  spec.set_job(JobName(job.sweep, job.model, job.fold));
  *spec.mutable_model() = model;
  // The parts of a prediction name the fold whose network predicts.
  if (!sweep.spec.has_prediction()) spec.set_fold(job.fold);
  spec.set_seed(JobSeed(sweep.spec, model, spec.fold()));
  spec.set_tta(TtaDraws(sweep.spec));
  spec.set_attempt(attempt.number);
  for (v1::ArtifactRef& input : InputsOfFold(
           sweep.inputs[static_cast<size_t>(job.model_index)], spec.fold())) {
    *lease.add_inputs() = std::move(input);
  }
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
  bool stood_still = false;
  {
    absl::MutexLock lock(&timer_mu_);
    Tick(now);
    std::swap(stood_still, stood_still_);
  }
  if (stood_still) {
    next_expiry_ = absl::InfiniteFuture();
    return ExtendLeases(tx, "stood still");
  }
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

absl::Status JobQueue::EndAttempt(Tx& tx, AttemptRow& attempt, JobRow& job,
                                  const AttemptEnd& end) {
  const absl::Time now = clock_.Now();
  JobFacts facts;
  facts.failed_count = job.failed_count;
  facts.lost_count = job.lost_count;
  facts.slots = job.slots;
  facts.cancel_requested = job.cancel_requested;
  facts.most_slots = job.slots;
  // Asked for by failures alone; a large farm has many workers.
  if (end.state == v1::Attempt::FAILED) {
    absl::MutexLock lock(&mu_);
    for (const auto& [session, worker] : workers_) {
      if (now - worker.last_heard < options_.lease_duration &&
          holds_.count(worker.row.name) == 0 &&
          (worker.row.allow_exec || !job.needs_exec)) {
        facts.most_slots = std::max(facts.most_slots, worker.row.slots);
      }
    }
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> sweep,
                            LoadSweep(tx, job.sweep));
  if (end.state == v1::Attempt::FAILED) {
    // The jitter's seed is the sweep's: on record with it.
    facts.random =
        DeriveSeed(
            sweep->spec.seed(),
            absl::StrCat("backoff ", JobName(job.sweep, job.model, job.fold)),
            static_cast<uint32_t>(job.attempt_count)) /
        4294967296.0;
  }
  const Verdict verdict = Judge(options_.retry, facts, end);

  attempt.state = end.state;
  attempt.end_time = now;
  // Of an attempt that nobody ended: what was reported last.
  if (const std::optional<HeldLease> lease = FindLease(attempt.token);
      lease.has_value()) {
    attempt.peak_memory_bytes = std::max<int64_t>(
        attempt.peak_memory_bytes, lease->usage.peak_memory_bytes());
    attempt.cpu_seconds =
        std::max(attempt.cpu_seconds, lease->usage.cpu_seconds());
  }
  FOLDFARM_RETURN_IF_ERROR(tx.UpdateAttempt(attempt));
  tx.AfterCommit([&ended = metrics_.ended[end.state]](const absl::Status& s) {
    if (s.ok()) ended.fetch_add(1, std::memory_order_relaxed);
  });
  index_.EndRunning(job.sweep, job.slots);
  {
    absl::MutexLock lock(&mu_);
    leases_.erase(attempt.token);
  }
  job.failed_count = verdict.failed_count;
  job.lost_count = verdict.lost_count;
  job.slots = verdict.slots;
  // What the farm stops by itself keeps the reason; what it could not stop in
  // time is as good as any other.
  job.dropped = job.dropped && verdict.event == JobEvent::kCancel;
  if (!job.dropped) job.error = verdict.error;
  job.cancel_requested = false;
  job.not_before = verdict.delay > absl::ZeroDuration() ? now + verdict.delay
                                                        : absl::InfinitePast();
  FOLDFARM_RETURN_IF_ERROR(
      ChangeJob(tx, job, verdict.event, attempt.token, job.error));
  if (job.state == v1::Job::PENDING) Offer(job, sweep->spec.priority());
  return absl::OkStatus();
}

}  // namespace foldfarm
