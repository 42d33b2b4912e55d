// Every change that is made to the database.
//
// A Tx is handed to the work that Store runs; all its calls are in one
// transaction, and are undone together when the work fails.
#ifndef FOLDFARM_COORDINATOR_STORE_TX_H_
#define FOLDFARM_COORDINATOR_STORE_TX_H_

#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/reader.h"
#include "coordinator/store/row_cache.h"

namespace foldfarm {

class Tx : public Reader {
 public:
  // Both are borrowed. `rows` null: everything is read from the tables.
  // `next_token` counts the fencing tokens; null: the tables do.
  explicit Tx(Connection& connection, RowCache* rows = nullptr,
              int64_t* next_token = nullptr)
      : Reader(connection), rows_(rows), next_token_(next_token) {}

  // As Reader's, of rows that this writer wrote without asking the database.
  using Reader::FindJob;
  absl::StatusOr<std::optional<JobRow>> FindJob(JobId id);
  absl::StatusOr<std::optional<AttemptRow>> FindAttempt(FencingToken token);

  // Runs `call` once the transaction's fate is known: OK when it is on disk.
  // Runs before anybody else writes; it must not block.
  void AfterCommit(absl::AnyInvocable<void(const absl::Status&)> call) {
    after_commit_.push_back(std::move(call));
  }

  // Makes what follows undoable, as this work's first write does by itself;
  // work that fails a check before costs nothing. Call before changing what the
  // listener derives from the tables, so that it is derived anew when the work
  // fails.
  absl::Status BeginWrite();

  // Errors of all: ALREADY_EXISTS when a unique name is taken.
  absl::StatusOr<int64_t> InsertDataset(const v1::Dataset& dataset);
  absl::Status InsertWeights(const v1::Weights& weights);

  // `row.id` is ignored, as with the other inserts; returns the new id.
  absl::StatusOr<SweepId> InsertSweep(const SweepRow& row);
  absl::Status InsertFold(SweepId sweep, int fold,
                          const v1::AttemptSpec& samples);
  absl::Status InsertInput(SweepId sweep, const InputRow& row);
  absl::StatusOr<JobId> InsertJob(const JobRow& row);
  // Writes what was decided about a sweep: `screened` and `stopped`.
  absl::Status UpdateDecisions(const SweepRow& row);

  // Writes what may change of a job if `expected` is still its newest attempt.
  // Errors: ABORTED otherwise, and nothing is changed.
  absl::Status UpdateJob(const JobRow& row, FencingToken expected);

  // Writes what a person wishes of a job: `paused`, `slots`, `result_key`,
  // `model_override`.
  absl::Status UpdateWish(const JobRow& row);
  absl::Status UpdatePriority(SweepId sweep, int priority);

  // The new row's id is the fencing token.
  absl::StatusOr<FencingToken> InsertAttempt(const AttemptRow& row);
  // Writes what may change of an attempt.
  absl::Status UpdateAttempt(const AttemptRow& row);
  absl::Status ExtendLease(FencingToken token, absl::Time lease_until,
                           absl::Time heartbeat_time);

  // Replaces the row of that name.
  absl::StatusOr<WorkerSession> InsertWorker(const WorkerRow& row);
  absl::Status DropWorker(WorkerSession session);
  // Replaces the hold of that name.
  absl::Status SetWorkerHold(const WorkerHoldRow& row);
  // Harmless when there is none.
  absl::Status DropWorkerHold(const std::string& name);

  // REQUIRES: the job has none of that kind by these names.
  absl::Status AddArtifacts(JobId job, ArtifactKind kind,
                            const std::vector<v1::ArtifactRef>& refs);
  // Replaces all of that kind.
  absl::Status SetArtifacts(JobId job, ArtifactKind kind,
                            const std::vector<v1::ArtifactRef>& refs);
  // Of a result that was taken over from another job.
  absl::Status SetResultMetrics(JobId job,
                                const std::map<std::string, double>& metrics);
  // Replaces an epoch that is there.
  absl::Status PutMetrics(JobId job, const v1::EpochMetrics& metrics);
  // Gives `to`, which has none, the epochs of `from` up to `last`.
  absl::Status TakeOverMetrics(JobId from, JobId to, int last);
  // Drops the epochs after `epoch`.
  absl::Status DropMetricsAfter(JobId job, int epoch);
  // Ignores a line that is there.
  absl::Status PutLogLine(JobId job, FencingToken token,
                          const v1::LogLine& line);
  absl::Status InsertEvent(absl::Time time, JobId job, FencingToken token,
                           v1::Job::State state, absl::string_view detail);

 private:
  friend class Store;
  RowCache* const rows_;
  int64_t* const next_token_;
  // Something of this transaction is written; by the work that runs; within a
  // savepoint of its own.
  bool written_ = false;
  bool work_writes_ = false;
  bool savepoint_ = false;
  std::vector<absl::AnyInvocable<void(const absl::Status&)>> after_commit_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_TX_H_
