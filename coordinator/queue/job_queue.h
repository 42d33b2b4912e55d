// Decides which worker trains what: grants, renews, expires and ends leases.
//
// A lease is one worker's time-limited right to run one attempt of a job. Its
// fencing token is the attempt's row id: it grows with every grant, also across
// restarts, so whoever lost a lease is told from whoever holds it now. Every
// change about an attempt reads and compares the token in the transaction that
// writes.
//
// All decisions run as work of the store, one after another:
//   1. BeforeBatch: backoffs end;
//   2. the calls that wait (finish, report, submit...), each in a savepoint;
//   3. AfterBatch: leases whose time is up, and that no call of the batch has
//      extended, end as LOST; jobs that became ready go to workers that wait;
//   4. one commit, then all answers. So a submitted job is on its way to a
//      waiting worker after a single fsync.
// Nothing polls: a timer thread wakes the writer when the next lease, backoff
// or wait ends, by this clock; no other clock decides anything.
//
// Sweeps with `screen` or `stop_when` decide some things for themselves. That
// takes reading predictions, too much for who writes:
//   5. when a change of such a sweep's jobs is on disk, the judge thread looks
//      at the sweep (job_queue_rules.cc): at what is stored and at nothing
//      else, so that a restart looks again;
//   6. a decision comes back as a call like any other. It is dropped when the
//      jobs that it rests on have changed, and written once a sweep.
//
// Thread-safe. Answers are called on any thread, perhaps within the very call
// that asked and perhaps while others write, and must not block.
#ifndef FOLDFARM_COORDINATOR_QUEUE_JOB_QUEUE_H_
#define FOLDFARM_COORDINATOR_QUEUE_JOB_QUEUE_H_

#include <array>
#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "coordinator/queue/job_index.h"
#include "coordinator/queue/job_names.h"
#include "coordinator/queue/job_queue_types.h"
#include "coordinator/queue/judge_thread.h"
#include "coordinator/queue/prediction_plan.h"
#include "coordinator/queue/retry_policy.h"
#include "coordinator/queue/sweep_plan.h"
#include "coordinator/queue/waiting_reason.h"
#include "coordinator/queue/worker_health.h"
#include "coordinator/store/artifact_files.h"
#include "coordinator/store/store.h"
#include "foldfarm/v1/farm.pb.h"
#include "foldfarm/v1/worker.pb.h"

namespace foldfarm {

class JobQueue : public StoreListener {
 public:
  template <typename Response>
  using Answer = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

  // Takes up what the store holds: leases that were running get one more full
  // term. The arguments are borrowed and outlive the queue.
  static absl::StatusOr<std::unique_ptr<JobQueue>> Start(
      Store& store, ArtifactFiles& files, Clock& clock,
      const QueueOptions& options);

  // Stops the timer and answers those who wait. REQUIRES: no further calls.
  ~JobQueue() override;

  // Answers every waiting AcquireLeases with nothing and wakes all watchers,
  // for good; other calls go on.
  void StopWaiting();

  const QueueOptions& options() const { return options_; }
  const QueueMetrics& metrics() const { return metrics_; }

  // For workers; contracts in worker.proto.
  void Register(v1::RegisterRequest request,
                Answer<v1::RegisterResponse> answer);
  // `call` names the call to StopWaitingFor().
  void AcquireLeases(v1::AcquireLeasesRequest request, const void* call,
                     Answer<v1::AcquireLeasesResponse> answer);
  // The caller has gone: grant it nothing. It is answered at once.
  void StopWaitingFor(const void* call);
  void Heartbeat(v1::HeartbeatRequest request,
                 Answer<v1::HeartbeatResponse> answer);
  void ReportProgress(v1::ReportProgressRequest request,
                      Answer<v1::ReportProgressResponse> answer);
  void FinishAttempt(v1::FinishAttemptRequest request,
                     Answer<v1::FinishAttemptResponse> answer);

  // For people; contracts in farm.proto. These wait for the disk.
  absl::StatusOr<v1::Dataset> RegisterDataset(
      const v1::RegisterDatasetRequest& request);
  absl::StatusOr<v1::Weights> RegisterWeights(
      const v1::RegisterWeightsRequest& request);
  absl::StatusOr<v1::SubmitSweepResponse> SubmitSweep(
      const v1::SubmitSweepRequest& request);
  // `source` is the sweep whose networks predict; null: those of the request's
  // bundle do.
  absl::StatusOr<v1::SubmitSweepResponse> SubmitPrediction(
      const v1::SubmitPredictionRequest& request, const SweepRow* source);
  // Number of jobs changed; of one job, or of all of the sweep.
  absl::StatusOr<int> Cancel(SweepId sweep, std::optional<JobId> job);
  absl::StatusOr<int> Retry(SweepId sweep, std::optional<JobId> job,
                            const RetryWish& wish = {});
  // Leases nothing more of a job, or of all of the sweep, and has what runs
  // handed back; or ends that.
  absl::StatusOr<int> SetPaused(SweepId sweep, std::optional<JobId> job,
                                bool paused);
  absl::StatusOr<int> SetPriority(SweepId sweep, int priority);

  // Keeps the workers of that name, now and later, from leases, or no more.
  // Errors: NOT_FOUND when there never was one.
  absl::Status DrainWorker(const std::string& name, const std::string& reason);
  absl::Status UndrainWorker(const std::string& name);

  std::optional<HeldLease> FindLease(FencingToken token) const;
  std::vector<std::pair<FencingToken, HeldLease>> Leases() const;
  std::vector<WorkerView> Workers() const;
  // Whether `slots` are all that the worker has: what held them ran alone.
  bool IsWholeWorker(WorkerSession session, int slots) const;
  // The farm now; for the reasons of many jobs.
  FarmLoad Load() const;
  // Why a PENDING job of a sweep of `priority` is not running; empty when it is
  // next, and for jobs in other states.
  std::string WaitingReason(const JobRow& job, int priority,
                            const FarmLoad& farm) const;

  // How often jobs, logs and metrics have changed. A change that anybody was
  // told of is counted.
  int64_t changes() const;
  // Waits until that is another count than `seen` (start with 0), or the queue
  // stops, or the time is up. Returns the count, to be passed next.
  int64_t WaitForChange(int64_t seen, absl::Duration timeout);
  // Waits until the time is up or the queue stops.
  void WaitToGather(absl::Duration timeout);
  bool stopping() const;

  // Does at once what the timer would do when it is due.
  void RunDue();
  // Waits until every sweep was judged by what is on disk now.
  void WaitUntilJudged() { judge_->WaitUntilIdle(); }

  // For the store.
  absl::Status BeforeBatch(Tx& tx) override;
  absl::Status AfterBatch(Tx& tx) override;
  absl::Status Reload(Tx& tx) override;
  void Committed() override;

 private:
  // An AcquireLeases that waits for work.
  struct Waiter {
    const void* call;
    v1::AcquireLeasesRequest request;
    absl::Time deadline;
    Answer<v1::AcquireLeasesResponse> answer;
  };
  // What is stored of a sweep that has something to decide.
  struct SweepRecord;
  // Which models go on after the trial.
  struct ScreenDecision;

  JobQueue(Store& store, ArtifactFiles& files, Clock& clock,
           const QueueOptions& options);

  // job_queue.cc
  void TimerLoop();
  absl::StatusOr<std::shared_ptr<const SweepData>> LoadSweep(Tx& tx,
                                                             SweepId id);
  // Gives every lease one more full term, since nobody could be heard.
  absl::Status ExtendLeases(Tx& tx, absl::string_view why);
  // Notes that this process runs now, and whether it stood still before.
  void Tick(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(timer_mu_);
  void SetLease(const AttemptRow& attempt, const JobRow& job,
                std::shared_ptr<const SweepData> sweep);
  JobIndex::Entry IndexEntry(const JobRow& job, int priority) const;
  // A job became PENDING: adds it to the index, unless it is held back.
  void Offer(const JobRow& job, int priority);
  // Takes `event` in the transition table and writes the job, if `expected` is
  // still its newest attempt.
  absl::Status ChangeJob(Tx& tx, JobRow& job, JobEvent event,
                         FencingToken expected, const std::string& detail);

  // job_queue_leases.cc
  absl::Status Grant(Tx& tx, WorkerSession session, int free_slots,
                     int max_leases, FencingToken granted_by,
                     google::protobuf::RepeatedPtrField<v1::Lease>* leases);
  absl::Status FillLease(Tx& tx, const JobRow& job, const AttemptRow& attempt,
                         const SweepData& sweep, v1::Lease& lease);
  absl::Status ServeWaiters(Tx& tx);
  // Whether a worker is to send a heartbeat and was not told so; once.
  bool TakeNews(WorkerSession session);
  absl::Status ExpireLeases(Tx& tx);
  absl::Status EndAttempt(Tx& tx, AttemptRow& attempt, JobRow& job,
                          const AttemptEnd& end);
  // Ends a running attempt that nobody reports about any more.
  absl::Status EndUnreported(Tx& tx, FencingToken token,
                             v1::Attempt::State state,
                             const std::string& error);

  // job_queue_slots.cc
  // How long the job still trains, by its own pace or its model's; infinite:
  // nobody knows.
  absl::Duration TimeLeft(const JobRow& job) const;
  // Has the worker that will have enough slots soonest keep those that are free
  // for a ready job. Whether that is `asker`.
  absl::StatusOr<bool> ReserveSlots(Tx& tx, const JobIndex::Entry& entry,
                                    const JobRow& job, const SweepData& sweep,
                                    WorkerSession asker);
  // How long an attempt takes to leave its first checkpoint, by the pace of its
  // model so far; zero when nothing is known.
  absl::Duration TimeToCheckpoint(const JobRow& job,
                                  const SweepData& sweep) const;

  // job_queue_workers.cc
  absl::Status DoRegister(Tx& tx, const v1::RegisterRequest& request,
                          v1::RegisterResponse& response);
  absl::Status DoHeartbeat(Tx& tx, const v1::HeartbeatRequest& request,
                           v1::HeartbeatResponse& response);
  // Notes that a worker was heard of. Errors: NOT_FOUND.
  absl::StatusOr<int> TouchWorker(int64_t session);

  // job_queue_holds.cc
  absl::Status CheckWorkerName(const std::string& name) const;
  absl::Status Hold(Tx& tx, WorkerHoldRow row);
  // Has the workers of that name send a heartbeat at once.
  void TellWorkers(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  absl::Status Quarantine(Tx& tx, const std::string& worker,
                          const std::string& reason);
  // Counts a failure against its worker; may put that into quarantine.
  absl::Status NoteFailedAttempt(Tx& tx, const AttemptRow& attempt,
                                 const JobRow& job);
  // Takes a failure's charge back from its job, and opens that again if it was
  // given up for it. Returns the job's name.
  absl::StatusOr<std::string> TakeBack(Tx& tx,
                                       const WorkerHealth::Failure& failure);
  // A worker names an attempt that was taken for lost: takes the loss back from
  // the job, and opens that again if it was given up for its losses. Nothing
  // for the attempts of others.
  absl::Status ForgiveLoss(Tx& tx, WorkerSession session, FencingToken token);
  // A job that was given up waits again.
  absl::Status Reopen(Tx& tx, JobRow& job, const std::string& why);

  // job_queue_progress.cc
  // The trainer of an attempt began, perhaps below the checkpoint that it got.
  absl::Status NoteStart(Tx& tx, const AttemptRow& attempt, JobRow& job);
  // It tells an epoch that the stored checkpoint is beyond.
  absl::Status BeginBelowCheckpoint(Tx& tx, int epoch, JobRow& job);
  absl::Status DoReport(Tx& tx, const v1::ReportProgressRequest& request,
                        v1::ReportProgressResponse& response);
  // Drops the files of the former checkpoint once nothing names them.
  absl::Status ReplaceCheckpoint(Tx& tx, JobId job,
                                 const std::vector<v1::ArtifactRef>& refs);

  // job_queue_results.cc
  absl::Status CheckStored(
      const google::protobuf::RepeatedPtrField<v1::ArtifactRef>& refs,
      absl::string_view what);
  absl::Status CheckResult(const v1::FinishAttemptRequest& request);
  // `valid`: what was found wrong with the result; OK on a repeated call.
  absl::Status DoFinish(Tx& tx, const v1::FinishAttemptRequest& request,
                        absl::Status& valid,
                        v1::FinishAttemptResponse& response);
  absl::Status RepeatFinish(Tx& tx, const v1::FinishAttemptRequest& request,
                            const AttemptRow& attempt,
                            v1::FinishAttemptResponse& response);

  // job_queue_people.cc
  absl::Status DoSubmit(Tx& tx, const v1::SubmitSweepRequest& request,
                        const v1::SweepSpec& spec, const DatasetRow& dataset,
                        const SweepPlan& plan,
                        const std::vector<InputRow>& inputs,
                        v1::SubmitSweepResponse& response);
  absl::StatusOr<std::vector<JobRow>> JobsOf(Tx& tx, SweepId sweep,
                                             std::optional<JobId> job);
  // Cancels a PENDING job and has a RUNNING one stopped; others stay as they
  // are. `why` is the farm's own reason; empty: a person asked. Returns whether
  // the job is or will be cancelled.
  absl::StatusOr<bool> StopJob(Tx& tx, JobRow row, int priority,
                               const std::string& why);

  // job_queue_control.cc
  // Changes of a job what `wish` says, before it is tried again.
  absl::Status ApplyWish(Tx& tx, const RetryWish& wish, const SweepData& sweep,
                         JobRow& row);

  // job_queue_inputs.cc
  // Errors: NOT_FOUND; those of reading the header.
  absl::StatusOr<StoredDataset> OpenDataset(const std::string& name);
  // Fills in the digests of weights that models name, and returns the files
  // that the attempts of each model start with, all stored; none when they are
  // only checked and need not be.
  absl::StatusOr<std::vector<InputRow>> ResolveInputs(v1::SweepSpec& spec,
                                                      bool check_only);
  // A stored file as an input. Errors: FAILED_PRECONDITION, INVALID_ARGUMENT.
  absl::StatusOr<v1::ArtifactRef> StoredInput(absl::string_view name,
                                              const std::string& digest);
  absl::StatusOr<std::string> FindWeights(const std::string& name);

  // job_queue_rules.cc
  // A sweep was loaded or submitted: notes what it has to decide yet.
  void NoteRules(const SweepRow& sweep);
  // Counts a job of a sweep that was noted, and has its sweep judged.
  void NoteJob(const JobRow& job, int opened);
  // "screened: waits for fold 0 of 3 more models", or nothing.
  std::string HeldBack(const JobRow& job) const;
  // On the judge thread. Errors: UNAVAILABLE when it is worth a repetition.
  absl::Status JudgeSweep(SweepId sweep);
  absl::Status JudgeTrial(const SweepRecord& record);
  absl::Status JudgeEnsemble(const SweepRecord& record);
  absl::Status Screen(Tx& tx, const ScreenDecision& decision);
  absl::Status StopSweep(Tx& tx, SweepId sweep);

  // job_queue_predict.cc
  // The bundle's models with their files. Errors: FAILED_PRECONDITION when one
  // is not stored.
  absl::StatusOr<std::vector<PredictingModel>> BundleModels(
      const v1::SubmitPredictionRequest& request);

  Store& store_;                // Borrowed; outlives this.
  ArtifactFiles& files_;        // Borrowed; outlives this.
  Clock& clock_;                // Borrowed; outlives this.
  const QueueOptions options_;  // Constant after construction.

  // Of whoever writes alone.
  JobIndex index_;
  absl::flat_hash_map<SweepId, std::shared_ptr<const SweepData>> sweeps_;
  std::list<Waiter> waiters_;
  int64_t last_change_ = 0;
  bool changed_ = false;
  bool stop_waiting_ = false;
  // Sweeps that have something to decide yet, and those of them to judge after
  // the next commit.
  absl::flat_hash_set<SweepId> undecided_;
  std::set<SweepId> to_judge_;
  WorkerHealth health_;
  // Seconds per epoch of models, as reported last.
  std::map<WorkerHealth::Model, double> pace_;
  // No lease ends before this.
  absl::Time next_expiry_ = absl::InfiniteFuture();

  // Guards what other threads look at. Never held across SQL.
  mutable absl::Mutex mu_;
  absl::flat_hash_map<FencingToken, HeldLease> leases_ ABSL_GUARDED_BY(mu_);
  absl::flat_hash_map<WorkerSession, WorkerView> workers_ ABSL_GUARDED_BY(mu_);
  // By worker name.
  std::map<std::string, WorkerHoldRow> holds_ ABSL_GUARDED_BY(mu_);
  // Results that were checked: OOF digest, sweep and fold.
  absl::flat_hash_set<std::string> valid_results_ ABSL_GUARDED_BY(mu_);
  // Those of `undecided_` that are at the trial.
  absl::flat_hash_map<SweepId, Trial> trials_ ABSL_GUARDED_BY(mu_);
  // Whose attempts are to be stopped, or who was drained or undrained, and has
  // not been told yet.
  absl::flat_hash_set<WorkerSession> news_ ABSL_GUARDED_BY(mu_);
  // That were submitted to lately, by name.
  absl::flat_hash_map<std::string, StoredDataset> datasets_
      ABSL_GUARDED_BY(mu_);
  // Jobs that a worker with a time limit left lying.
  absl::flat_hash_map<JobId, LeftByWorker> too_long_ ABSL_GUARDED_BY(mu_);
  absl::CondVar changes_wake_;
  absl::CondVar stop_wake_;
  int64_t changes_ ABSL_GUARDED_BY(mu_) = 1;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;

  QueueMetrics metrics_;

  absl::Mutex timer_mu_;
  absl::CondVar timer_wake_;
  absl::Time next_due_ ABSL_GUARDED_BY(timer_mu_) = absl::InfiniteFuture();
  bool timer_stop_ ABSL_GUARDED_BY(timer_mu_) = false;
  std::optional<absl::Time> last_tick_ ABSL_GUARDED_BY(timer_mu_);
  // Until leases have been extended for it.
  bool stood_still_ ABSL_GUARDED_BY(timer_mu_) = false;
  std::thread timer_;

  // Of the judge thread alone: complete models when a sweep was judged last.
  absl::flat_hash_map<SweepId, size_t> judged_models_;
  std::unique_ptr<JudgeThread> judge_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_JOB_QUEUE_H_
