// The part of JobQueue that attempts report their progress to.
#include <algorithm>
#include <utility>

#include "common/base/status_macros.h"
#include "coordinator/queue/extension.h"
#include "coordinator/queue/fencing.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/report_limits.h"
#include "coordinator/queue/result_check.h"
#include "coordinator/queue/run_work.h"

namespace foldfarm {

void JobQueue::ReportProgress(v1::ReportProgressRequest request,
                              Answer<v1::ReportProgressResponse> answer) {
  ClipReport(request);
  RunWork<v1::ReportProgressResponse>(
      store_,
      [this, request = std::move(request)](
          Tx& tx, v1::ReportProgressResponse& response) {
        return DoReport(tx, request, response);
      },
      std::move(answer));
}

absl::Status JobQueue::NoteStart(Tx& tx, const AttemptRow& attempt,
                                 JobRow& job) {
  if (attempt.number > 1) {
    // Epochs that a former attempt told and took with it are trained again, or
    // never: this one may stop earlier.
    FOLDFARM_RETURN_IF_ERROR(tx.DropMetricsAfter(job.id, job.checkpoint_epoch));
  }
  if (attempt.resumed_epoch >= job.checkpoint_epoch) return absl::OkStatus();
  // The checkpoint is lost, or the program does without, or it does not say
  // where it goes on. Which of these, its first epoch tells.
  job.epoch = attempt.resumed_epoch;
  job.log_loss.reset();
  return absl::OkStatus();
}

absl::Status JobQueue::BeginBelowCheckpoint(Tx& tx, int epoch, JobRow& job) {
  // What was told of this epoch and of those behind it is of a training that is
  // not the result's; so is the checkpoint.
  FOLDFARM_RETURN_IF_ERROR(tx.DropMetricsAfter(job.id, epoch - 1));
  FOLDFARM_RETURN_IF_ERROR(ReplaceCheckpoint(tx, job.id, {}));
  job.checkpoint_epoch = 0;
  FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> sweep,
                            LoadSweep(tx, job.sweep));
  if (sweep->spec.extends().empty() && !job.model_override.has_value()) {
    return absl::OkStatus();
  }
  // Its key says that it is trained on from there.
  job.result_key = ResumedKey(job.result_key, epoch - 1, job.result_key);
  return tx.UpdateWish(job);
}

absl::Status JobQueue::DoReport(Tx& tx,
                                const v1::ReportProgressRequest& request,
                                v1::ReportProgressResponse& response) {
  const FencingToken token{request.token()};
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<AttemptRow> attempt,
                            tx.FindAttempt(token));
  if (!attempt.has_value()) return StaleToken(request.token());
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> job,
                            tx.FindJob(attempt->job));
  if (!job.has_value() || !MayWrite(token, attempt->state, job->token)) {
    return StaleToken(request.token());
  }
  FOLDFARM_RETURN_IF_ERROR(CheckEpochs(request));
  FOLDFARM_RETURN_IF_ERROR(
      CheckArtifactNames({request.checkpoint().data(),
                          static_cast<size_t>(request.checkpoint_size())}));
  FOLDFARM_RETURN_IF_ERROR(CheckStored(request.checkpoint(), "checkpoint"));
  if (request.started() && attempt->device.empty()) {
    // Never empty: it tells the first report from one that is repeated.
    attempt->device = request.device().empty() ? "-" : request.device();
    attempt->start_time = clock_.Now();
    attempt->resumed_epoch =
        std::clamp(request.resumed_epoch(), 0, attempt->resumed_epoch);
    FOLDFARM_RETURN_IF_ERROR(tx.UpdateAttempt(*attempt));
    if (request.epochs_total() > 0) job->epochs = request.epochs_total();
    FOLDFARM_RETURN_IF_ERROR(NoteStart(tx, *attempt, *job));
  }
  // A user's program may do more than it announced.
  const int epochs =
      job->needs_exec || job->epochs <= 0 ? kMaxEpochs : job->epochs;
  if (request.checkpoint_size() > 0) {
    FOLDFARM_RETURN_IF_ERROR(
        CheckEpoch("a checkpoint", request.checkpoint_epoch(), epochs));
  }
  for (v1::EpochMetrics metrics : request.epochs()) {
    FOLDFARM_RETURN_IF_ERROR(CheckMetrics(metrics, epochs));
    // Those before are another attempt's to tell, and told.
    if (metrics.epoch() <= attempt->resumed_epoch) continue;
    metrics.set_token(request.token());
    if (metrics.epoch() <= job->checkpoint_epoch &&
        job->epoch < job->checkpoint_epoch) {
      FOLDFARM_RETURN_IF_ERROR(BeginBelowCheckpoint(tx, metrics.epoch(), *job));
    }
    FOLDFARM_RETURN_IF_ERROR(tx.PutMetrics(job->id, metrics));
    if (metrics.epoch() <= job->epoch) continue;
    job->epoch = metrics.epoch();
    const auto log_loss = metrics.values().find("log_loss");
    if (log_loss != metrics.values().end()) job->log_loss = log_loss->second;
    const auto seconds = metrics.values().find("seconds");
    if (seconds != metrics.values().end()) {
      // Running mean over the attempt's own epochs.
      const int count = std::max(1, job->epoch - attempt->resumed_epoch);
      job->seconds_per_epoch +=
          (seconds->second - job->seconds_per_epoch) / count;
      pace_[{job->sweep, job->model_index}] = job->seconds_per_epoch;
    }
  }
  if (request.epochs_size() > 0) {
    health_.NoteProgress(attempt->worker, {job->sweep, job->model_index},
                         clock_.Now());
  }
  for (const v1::LogLine& line : request.lines()) {
    FOLDFARM_RETURN_IF_ERROR(tx.PutLogLine(job->id, token, line));
  }
  if (request.checkpoint_size() > 0 &&
      request.checkpoint_epoch() >= job->checkpoint_epoch) {
    FOLDFARM_RETURN_IF_ERROR(ReplaceCheckpoint(
        tx, job->id,
        {request.checkpoint().begin(), request.checkpoint().end()}));
    job->checkpoint_epoch = request.checkpoint_epoch();
  }
  job->change = ++last_change_;
  changed_ = true;
  FOLDFARM_RETURN_IF_ERROR(tx.UpdateJob(*job, token));
  response.set_cancel(job->cancel_requested);
  absl::MutexLock lock(&mu_);
  if (const auto it = leases_.find(token); it != leases_.end()) {
    it->second.heartbeat = clock_.Now();
  }
  return absl::OkStatus();
}

absl::Status JobQueue::ReplaceCheckpoint(
    Tx& tx, JobId job, const std::vector<v1::ArtifactRef>& refs) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<v1::ArtifactRef> former,
                            tx.ListArtifacts(job, ArtifactKind::kCheckpoint));
  FOLDFARM_RETURN_IF_ERROR(
      tx.SetArtifacts(job, ArtifactKind::kCheckpoint, refs));
  // Checkpoints come every few minutes; only the newest is worth its room.
  std::vector<std::string> unused;
  for (const v1::ArtifactRef& ref : former) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool used, tx.IsArtifactUsed(ref.digest()));
    if (!used) unused.push_back(ref.digest());
  }
  if (unused.empty()) return absl::OkStatus();
  tx.AfterCommit(
      [condemned = ArtifactFiles::Condemned(files_, std::move(unused))](
          const absl::Status& s) mutable {
        if (s.ok()) condemned.Delete();
      });
  return absl::OkStatus();
}

}  // namespace foldfarm
