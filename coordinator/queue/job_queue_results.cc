// The part of JobQueue that attempts report their ends to.
#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/attempt_files.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"
#include "common/sweep/kept_checkpoint.h"
#include "coordinator/queue/fencing.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/queue/report_limits.h"
#include "coordinator/queue/result_check.h"
#include "coordinator/queue/run_work.h"

namespace foldfarm {
namespace {

// Results whose check is remembered.
constexpr size_t kMostValidResults = 4096;

}  // namespace

absl::Status JobQueue::CheckStored(
    const google::protobuf::RepeatedPtrField<v1::ArtifactRef>& refs,
    absl::string_view what) {
  for (const v1::ArtifactRef& ref : refs) {
    FOLDFARM_ASSIGN_OR_RETURN(const ArtifactFiles::Stat stat,
                              files_.GetStat(ref.digest()));
    if (!stat.complete) {
      return absl::FailedPreconditionError(
          absl::StrCat(what, " names ", ref.name(), " (", ref.digest(),
                       "), which is not stored; upload it and repeat"));
    }
    if (ref.size_bytes() != stat.size_bytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          what, " says that ", ref.name(), " has ", ref.size_bytes(),
          " bytes; ", stat.size_bytes, " are stored"));
    }
  }
  return absl::OkStatus();
}

absl::Status JobQueue::CheckResult(const v1::FinishAttemptRequest& request) {
  const std::optional<HeldLease> lease =
      FindLease(FencingToken{request.token()});
  // Stale; the transaction says so.
  if (!lease.has_value()) return absl::OkStatus();
  const SweepData& sweep = *lease->sweep;
  const v1::ModelSpec& model = sweep.spec.models(lease->model);
  const bool predicts = sweep.spec.has_prediction();
  FOLDFARM_RETURN_IF_ERROR(
      CheckArtifactsComplete({request.artifacts().data(),
                              static_cast<size_t>(request.artifacts_size())},
                             model, predicts));
  const absl::string_view name = predicts ? kPredictionsFile : kOofFile;
  const auto file = absl::c_find_if(
      request.artifacts(),
      [&](const v1::ArtifactRef& ref) { return ref.name() == name; });
  // What was found right for one model is right for all with its labels.
  const std::string key = absl::StrCat(
      file->digest(), " ", sweep.id.value, " ", lease->fold, " ",
      model.arch().has_none(), " ", absl::StrJoin(model.labels(), ","));
  {
    absl::MutexLock lock(&mu_);
    if (valid_results_.contains(key)) return absl::OkStatus();
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::string path,
                            files_.Find(file->digest()));
  const v1::AttemptSpec& part = sweep.folds[static_cast<size_t>(lease->fold)];
  const std::vector<std::string>& labels =
      sweep.labels[static_cast<size_t>(lease->model)];
  const absl::Status status =
      predicts ? CheckPredictionsFile(path, part, model, TtaDraws(sweep.spec),
                                      labels)
               : CheckOofFile(path, part, labels);
  if (absl::IsFailedPrecondition(status)) files_.Forget(file->digest());
  if (!status.ok()) {
    return {status.code(),
            absl::StrCat(lease->job_name, ": ", name, ": ", status.message())};
  }
  absl::MutexLock lock(&mu_);
  // They only spare a second reading.
  if (valid_results_.size() >= kMostValidResults) valid_results_.clear();
  valid_results_.insert(key);
  return absl::OkStatus();
}

void JobQueue::FinishAttempt(v1::FinishAttemptRequest request,
                             Answer<v1::FinishAttemptResponse> answer) {
  ClipFinish(request);
  absl::Status valid;
  if (request.outcome() == v1::Attempt::SUCCEEDED) {
    valid = CheckMetrics(request);
    // Files are read here, before the writer's turn.
    if (valid.ok()) {
      valid =
          CheckArtifactNames({request.artifacts().data(),
                              static_cast<size_t>(request.artifacts_size())});
    }
    if (valid.ok()) valid = CheckStored(request.artifacts(), "the result");
    if (valid.ok()) valid = CheckResult(request);
    if (!valid.ok() && valid.code() != absl::StatusCode::kInvalidArgument) {
      // A stale token outranks a missing file.
      if (FindLease(FencingToken{request.token()}).has_value()) {
        answer(valid);
        return;
      }
    }
  } else if (request.outcome() != v1::Attempt::FAILED &&
             request.outcome() != v1::Attempt::PREEMPTED &&
             request.outcome() != v1::Attempt::CANCELLED) {
    answer(absl::InvalidArgumentError(
        absl::StrCat("outcome is ", v1::Attempt::State_Name(request.outcome()),
                     ", expected SUCCEEDED, FAILED, PREEMPTED or CANCELLED")));
    return;
  }
  // A refused result is a change that is kept and an error that is answered.
  struct Finish {
    v1::FinishAttemptResponse response;
    absl::Status refused;
  };
  RunWork<Finish>(
      store_,
      [this, request = std::move(request), valid](Tx& tx, Finish& finish) {
        finish.refused = valid;
        return DoFinish(tx, request, finish.refused, finish.response);
      },
      [answer = std::move(answer)](absl::StatusOr<Finish> finish) mutable {
        if (!finish.ok()) {
          answer(finish.status());
        } else if (!finish->refused.ok()) {
          answer(finish->refused);
        } else {
          answer(std::move(finish->response));
        }
      });
}

absl::Status JobQueue::DoFinish(Tx& tx, const v1::FinishAttemptRequest& request,
                                absl::Status& valid,
                                v1::FinishAttemptResponse& response) {
  const FencingToken token{request.token()};
  TouchWorker(request.session()).status().IgnoreError();
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<AttemptRow> attempt,
                            tx.FindAttempt(token));
  if (!attempt.has_value()) return StaleToken(request.token());
  if (attempt->state != v1::Attempt::RUNNING) {
    valid = absl::OkStatus();  // Judged the first time.
    return RepeatFinish(tx, request, *attempt, response);
  }
  FOLDFARM_ASSIGN_OR_RETURN(std::optional<JobRow> job,
                            tx.FindJob(attempt->job));
  if (!job.has_value() || !MayWrite(token, attempt->state, job->token)) {
    return StaleToken(request.token());
  }
  if (attempt->session != WorkerSession{request.session()}) {
    // Its own worker's former session: that one registers again and repeats.
    FOLDFARM_RETURN_IF_ERROR(TouchWorker(request.session()).status());
    return absl::AbortedError(
        absl::StrCat("attempt ", request.token(), " is held by worker ",
                     attempt->worker, " and by no other"));
  }
  // What could not be looked at is not judged.
  if (!valid.ok() && !absl::IsInvalidArgument(valid)) return valid;
  if (valid.ok() && request.outcome() == v1::Attempt::SUCCEEDED) {
    // Again: what was not named yet may have been collected meanwhile.
    FOLDFARM_RETURN_IF_ERROR(CheckStored(request.artifacts(), "the result"));
  }
  attempt->outcome = request.outcome();
  attempt->exit_status = request.exit_status();
  attempt->signal = request.signal();
  AttemptEnd end;
  end.state = request.outcome();
  end.kind = request.failure_kind();
  end.error = request.error();
  if (!valid.ok()) {
    end.state = v1::Attempt::FAILED;
    end.kind = v1::FAILURE_KIND_RETRYABLE;
    // It may quote the worker's file.
    end.error =
        CleanText(absl::StrCat("invalid result: ", valid.message()), kMaxError);
  } else if (end.state == v1::Attempt::CANCELLED && !job->cancel_requested) {
    // Only a person cancels a job; a worker hands it back.
    end.state = v1::Attempt::PREEMPTED;
  } else if (end.state == v1::Attempt::FAILED && end.error.empty()) {
    end.error =
        request.signal() != 0
            ? absl::StrCat("the trainer died of signal ", request.signal())
            : absl::StrCat("the trainer exited with status ",
                           request.exit_status());
  }
  attempt->error = end.error;
  attempt->peak_memory_bytes = request.usage().peak_memory_bytes();
  attempt->cpu_seconds = request.usage().cpu_seconds();
  const bool failed = end.state == v1::Attempt::FAILED;
  attempt->uncharged = failed && end.kind == v1::FAILURE_KIND_WORKER;
  // A wrong configuration and want of memory are no news about the worker.
  const bool suspicious = failed && !job->cancel_requested &&
                          end.kind != v1::FAILURE_KIND_WORKER &&
                          end.kind != v1::FAILURE_KIND_PERMANENT &&
                          end.kind != v1::FAILURE_KIND_OUT_OF_MEMORY;
  if (end.state != v1::Attempt::SUCCEEDED) {
    attempt->log_tail.assign(request.log_tail().begin(),
                             request.log_tail().end());
  } else {
    attempt->metrics.insert(request.metrics().begin(), request.metrics().end());
    // As the ensemble scores it; a user's program may know the other one only.
    for (const char* name : {"log_loss", "log_loss_shrink_0002"}) {
      const auto it = attempt->metrics.find(name);
      if (it != attempt->metrics.end()) job->log_loss = it->second;
    }
    job->epoch = job->epochs;
    // A job succeeds once and for ever: there is nothing to replace.
    FOLDFARM_RETURN_IF_ERROR(tx.AddArtifacts(
        job->id, ArtifactKind::kResult,
        {request.artifacts().begin(), request.artifacts().end()}));
    FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> sweep,
                              LoadSweep(tx, job->sweep));
    // The last one may be what another sweep trains on from.
    const bool keeps = KeepsCheckpoint(ModelOf(*job, sweep->spec));
    if (job->checkpoint_epoch > 0 && !keeps) {
      job->checkpoint_epoch = 0;
      FOLDFARM_RETURN_IF_ERROR(ReplaceCheckpoint(tx, job->id, {}));
    }
  }
  FOLDFARM_RETURN_IF_ERROR(EndAttempt(tx, *attempt, *job, end));
  if (attempt->uncharged) {
    FOLDFARM_RETURN_IF_ERROR(Quarantine(tx, attempt->worker, end.error));
  } else if (suspicious) {
    FOLDFARM_RETURN_IF_ERROR(NoteFailedAttempt(tx, *attempt, *job));
    FOLDFARM_ASSIGN_OR_RETURN(job, tx.FindJob(attempt->job));
  } else if (end.state == v1::Attempt::SUCCEEDED) {
    health_.NoteSuccess(attempt->worker, {job->sweep, job->model_index},
                        clock_.Now());
  }
  response.set_job_state(job->state);
  if (request.next_leases() <= 0 || !valid.ok()) return absl::OkStatus();
  return Grant(tx, WorkerSession{request.session()}, request.free_slots(),
               request.next_leases(), token, response.mutable_next_leases());
}

absl::Status JobQueue::RepeatFinish(Tx& tx,
                                    const v1::FinishAttemptRequest& request,
                                    const AttemptRow& attempt,
                                    v1::FinishAttemptResponse& response) {
  if (attempt.outcome != request.outcome()) return StaleToken(request.token());
  if (attempt.state == v1::Attempt::FAILED &&
      attempt.outcome == v1::Attempt::SUCCEEDED) {
    return absl::InvalidArgumentError(attempt.error);
  }
  FOLDFARM_ASSIGN_OR_RETURN(const std::optional<JobRow> job,
                            tx.FindJob(attempt.job));
  if (!job.has_value()) return StaleToken(request.token());
  response.set_job_state(job->state);
  // The first answer was lost, and with it the leases that it carried.
  std::vector<FencingToken> granted;
  for (const auto& [next, lease] : Leases()) {
    if (lease.granted_by == attempt.token) granted.push_back(next);
  }
  std::sort(granted.begin(), granted.end());
  for (const FencingToken token : granted) {
    FOLDFARM_ASSIGN_OR_RETURN(const std::optional<AttemptRow> next,
                              tx.FindAttempt(token));
    if (!next.has_value()) continue;
    FOLDFARM_ASSIGN_OR_RETURN(const std::optional<JobRow> next_job,
                              tx.FindJob(next->job));
    if (!next_job.has_value()) continue;
    FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<const SweepData> sweep,
                              LoadSweep(tx, next_job->sweep));
    FOLDFARM_RETURN_IF_ERROR(
        FillLease(tx, *next_job, *next, *sweep, *response.add_next_leases()));
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
