#include "coordinator/queue/job_queue.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

// Sweeps that are kept in memory, besides those that go on.
constexpr size_t kMostSweeps = 256;

// After leases could not be expired or granted.
constexpr absl::Duration kTryAgain = absl::Seconds(1);

}  // namespace

JobQueue::JobQueue(Store& store, ArtifactFiles& files, Clock& clock,
                   const QueueOptions& options)
    : store_(store), files_(files), clock_(clock), options_(options) {}

absl::StatusOr<std::unique_ptr<JobQueue>> JobQueue::Start(
    Store& store, ArtifactFiles& files, Clock& clock,
    const QueueOptions& options) {
  std::unique_ptr<JobQueue> queue(new JobQueue(store, files, clock, options));
  FOLDFARM_RETURN_IF_ERROR(store.RunAndWait([&](Tx& tx) -> absl::Status {
    FOLDFARM_RETURN_IF_ERROR(queue->Reload(tx));
    return queue->ExtendLeases(tx, "restarted");
  }));
  queue->judge_ = std::make_unique<JudgeThread>(
      [&queue = *queue](SweepId sweep) { return queue.JudgeSweep(sweep); });
  store.SetListener(queue.get());
  queue->timer_ = std::thread([&queue = *queue] { queue.TimerLoop(); });
  queue->RunDue();
  return queue;
}

JobQueue::~JobQueue() {
  StopWaiting();
  {
    absl::MutexLock lock(&timer_mu_);
    timer_stop_ = true;
    timer_wake_.Signal();
  }
  if (timer_.joinable()) timer_.join();
  store_.RunAndWait([](Tx&) { return absl::OkStatus(); }).IgnoreError();
  // From here on the writer does not wake the judge; a visit that is on its way
  // may still use the writer.
  store_.SetListener(nullptr);
  judge_.reset();
}

void JobQueue::StopWaiting() {
  {
    absl::MutexLock lock(&mu_);
    if (stopping_) return;
    stopping_ = true;
    changes_wake_.SignalAll();
    stop_wake_.SignalAll();
  }
  store_
      .RunAndWait([this](Tx&) {
        stop_waiting_ = true;
        return absl::OkStatus();
      })
      .IgnoreError();
}

void JobQueue::RunDue() {
  store_.RunAndWait([](Tx&) { return absl::OkStatus(); }).IgnoreError();
}

void JobQueue::TimerLoop() {
  pthread_setname_np(pthread_self(), "queue-timer");
  absl::MutexLock lock(&timer_mu_);
  while (!timer_stop_) {
    const absl::Time now = clock_.Now();
    Tick(now);
    const absl::Duration wait = next_due_ - now;
    if (wait > absl::ZeroDuration()) {
      clock_.WaitFor(timer_wake_, timer_mu_,
                     std::min(wait, options_.stall / 4));
      continue;
    }
    // The batch sets the next one.
    next_due_ = absl::InfiniteFuture();
    timer_mu_.Unlock();
    RunDue();
    timer_mu_.Lock();
  }
}

// The tables are the truth; of a lease only its newest end is in memory alone.
absl::Status JobQueue::Reload(Tx& tx) {
  index_.Clear();
  sweeps_.clear();
  undecided_.clear();
  FOLDFARM_ASSIGN_OR_RETURN(last_change_, tx.LastChange());
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<JobRow> jobs, tx.ListOpenJobs());
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<WorkerRow> workers,
                            tx.ListWorkers());
  FOLDFARM_ASSIGN_OR_RETURN(std::vector<WorkerHoldRow> holds,
                            tx.ListWorkerHolds());
  absl::flat_hash_map<FencingToken, HeldLease> known;
  {
    absl::MutexLock lock(&mu_);
    // Those that are held stay all the time: other threads check results by
    // them.
    known = leases_;
    trials_.clear();
    next_expiry_ = absl::InfiniteFuture();
    absl::flat_hash_map<WorkerSession, WorkerView> views;
    for (const WorkerRow& row : workers) {
      const auto old = workers_.find(row.session);
      views[row.session] =
          old != workers_.end() ? old->second : WorkerView{.row = row};
    }
    workers_ = std::move(views);
    holds_.clear();
    for (WorkerHoldRow& hold : holds) holds_[hold.name] = std::move(hold);
  }
  for (const JobRow& job : jobs) {
    const absl::StatusOr<std::shared_ptr<const SweepData>> sweep =
        LoadSweep(tx, job.sweep);
    std::optional<AttemptRow> attempt;
    if (job.state == v1::Job::RUNNING) {
      FOLDFARM_ASSIGN_OR_RETURN(attempt, tx.FindAttempt(job.token));
    }
    if (!sweep.ok() ||
        (job.state == v1::Job::RUNNING &&
         (!attempt.has_value() || attempt->state != v1::Attempt::RUNNING))) {
      // One damaged row must not keep the farm from starting.
      SPDLOG_ERROR("job={} cannot be taken up: {}", job.id.value,
                   sweep.ok() ? "its running attempt is missing"
                              : sweep.status().ToString());
      continue;
    }
    const int priority = (*sweep)->spec.priority();
    NoteJob(job, +1);
    if (job.state == v1::Job::PENDING) {
      Offer(job, priority);
      continue;
    }
    index_.AddRunning(job.sweep, priority, job.slots);
    if (job.seconds_per_epoch > 0) {
      pace_[{job.sweep, job.model_index}] = job.seconds_per_epoch;
    }
    SetLease(*attempt, job, *sweep);
    absl::MutexLock lock(&mu_);
    if (const auto old = known.find(job.token); old != known.end()) {
      leases_[job.token].until = old->second.until;
      leases_[job.token].heartbeat = old->second.heartbeat;
      leases_[job.token].usage = old->second.usage;
      known.erase(old);
    }
  }
  // Of those that are left, the attempts are not running.
  absl::MutexLock lock(&mu_);
  for (const auto& [token, lease] : known) leases_.erase(token);
  return absl::OkStatus();
}

void JobQueue::Tick(absl::Time now) {
  if (last_tick_.has_value() &&
      absl::AbsDuration(now - *last_tick_) > options_.stall) {
    stood_still_ = true;
  }
  last_tick_ = now;
}

absl::Status JobQueue::ExtendLeases(Tx& tx, absl::string_view why) {
  const absl::Time now = clock_.Now();
  std::vector<FencingToken> tokens;
  {
    absl::MutexLock lock(&mu_);
    for (auto& [token, lease] : leases_) {
      lease.until = now + options_.lease_duration;
      lease.persisted_until = lease.until;
      tokens.push_back(token);
      next_expiry_ = std::min(next_expiry_, lease.until);
      const auto worker = workers_.find(lease.session);
      if (worker != workers_.end()) worker->second.last_heard = now;
    }
  }
  for (const FencingToken token : tokens) {
    const std::optional<HeldLease> lease = FindLease(token);
    FOLDFARM_RETURN_IF_ERROR(
        tx.ExtendLease(token, lease->until, lease->heartbeat));
  }
  if (!tokens.empty()) {
    SPDLOG_WARN("{} with leases={}, each runs for another {}", std::string(why),
                tokens.size(), absl::FormatDuration(options_.lease_duration));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const SweepData>> JobQueue::LoadSweep(
    Tx& tx, SweepId id) {
  std::shared_ptr<const SweepData>& cached = sweeps_[id];
  if (cached != nullptr) return cached;
  FOLDFARM_ASSIGN_OR_RETURN(const std::optional<SweepRow> row,
                            tx.FindSweep(id));
  if (!row.has_value()) {
    return absl::DataLossError(
        absl::StrCat("database: sweep ", id.value, " is missing"));
  }
  auto data = std::make_shared<SweepData>();
  data->id = id;
  data->spec = row->spec;
  data->spec.set_priority(row->priority);
  FOLDFARM_ASSIGN_OR_RETURN(data->folds, tx.ListFolds(id));
  data->dataset.set_name("dataset.safetensors");
  data->dataset.set_digest(row->dataset.digest());
  data->dataset.set_size_bytes(row->dataset.size_bytes());
  const std::vector<std::string> labels = LabelNames(row->dataset);
  for (const v1::ModelSpec& model : row->spec.models()) {
    data->labels.push_back(LabelsOf(model, labels));
  }
  data->inputs.resize(data->labels.size());
  FOLDFARM_ASSIGN_OR_RETURN(std::vector<InputRow> inputs, tx.ListInputs(id));
  for (InputRow& input : inputs) {
    const size_t model = static_cast<size_t>(input.model_index);
    if (model >= data->inputs.size()) {
      return absl::DataLossError(
          absl::StrCat("database: sweep ", id.value, " has no model ", model));
    }
    data->inputs[model].push_back(std::move(input.file));
  }
  cached = data;
  NoteRules(*row);
  if (sweeps_.size() > kMostSweeps) {
    // Of what ended, the tables know.
    absl::erase_if(sweeps_, [this, id](const auto& entry) {
      return entry.first != id && !index_.Knows(entry.first);
    });
  }
  return data;
}

void JobQueue::SetLease(const AttemptRow& attempt, const JobRow& job,
                        std::shared_ptr<const SweepData> sweep) {
  HeldLease lease;
  lease.job = job.id;
  lease.model = job.model_index;
  lease.fold = job.fold;
  lease.slots = job.slots;
  lease.sweep = std::move(sweep);
  lease.job_name = JobName(job.sweep, job.model, job.fold);
  lease.session = attempt.session;
  lease.granted_by = attempt.granted_by;
  lease.granted = attempt.start_time;
  lease.until = attempt.lease_until;
  lease.persisted_until = attempt.lease_until;
  lease.heartbeat = attempt.heartbeat_time;
  lease.cancel = job.cancel_requested;
  lease.preempt = job.paused;
  next_expiry_ = std::min(next_expiry_, lease.until);
  absl::MutexLock lock(&mu_);
  leases_[attempt.token] = std::move(lease);
}

JobIndex::Entry JobQueue::IndexEntry(const JobRow& job, int priority) const {
  return {.job = job.id,
          .sweep = job.sweep,
          .priority = priority,
          .position = job.position,
          .slots = job.slots,
          .needs_exec = job.needs_exec,
          .not_before = job.not_before};
}

absl::Status JobQueue::ChangeJob(Tx& tx, JobRow& job, JobEvent event,
                                 FencingToken expected,
                                 const std::string& detail) {
  const std::optional<v1::Job::State> next = NextJobState(job.state, event);
  const std::string name = JobName(job.sweep, job.model, job.fold);
  if (!next.has_value()) {
    return absl::FailedPreconditionError(
        absl::StrCat("job ", name, " is ", v1::Job::State_Name(job.state)));
  }
  const absl::Time now = clock_.Now();
  const int opened = IsFinal(job.state) - IsFinal(*next);
  // Attempts tell of their own starts and ends.
  const bool of_attempt =
      event == JobEvent::kGrant || job.state == v1::Job::RUNNING;
  job.state = *next;
  job.end_time = IsFinal(*next) ? now : absl::InfinitePast();
  job.change = ++last_change_;
  FOLDFARM_RETURN_IF_ERROR(tx.UpdateJob(job, expected));
  if (!of_attempt) {
    FOLDFARM_RETURN_IF_ERROR(
        tx.InsertEvent(now, job.id, job.token, *next, detail));
  }
  changed_ = true;
  {
    absl::MutexLock lock(&mu_);
    too_long_.erase(job.id);
  }
  if (opened != 0) NoteJob(job, opened);
  SPDLOG_INFO("job={} attempt={} state={}{}{}", name, job.token.value,
              v1::Job::State_Name(*next), detail.empty() ? "" : " ", detail);
  return absl::OkStatus();
}

absl::Status JobQueue::BeforeBatch(Tx&) {
  index_.Wake(clock_.Now());
  return absl::OkStatus();
}

absl::Status JobQueue::AfterBatch(Tx& tx) {
  // After a disk that hung for longer than a lease, the heartbeats that came
  // meanwhile are in this batch: whoever sent one is alive.
  absl::Status status = ExpireLeases(tx);
  if (status.ok()) status = ServeWaiters(tx);
  absl::Time due = std::min(next_expiry_, index_.NextWake());
  for (const Waiter& waiter : waiters_) due = std::min(due, waiter.deadline);
  // What failed is tried again, but not all the time.
  if (!status.ok()) due = clock_.Now() + kTryAgain;
  absl::MutexLock lock(&timer_mu_);
  // A later end needs no wake-up: the timer looks again when it is due.
  if (due < next_due_) {
    next_due_ = due;
    timer_wake_.Signal();
  }
  return status;
}

void JobQueue::Committed() {
  judge_->Wake(to_judge_);
  to_judge_.clear();
  if (!changed_) return;
  changed_ = false;
  absl::MutexLock lock(&mu_);
  ++changes_;
  changes_wake_.SignalAll();
}

}  // namespace foldfarm
