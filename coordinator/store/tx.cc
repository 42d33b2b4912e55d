#include "coordinator/store/tx.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/proto_time.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

// A GetMetricsResponse with only `result`.
std::string MetricsBytes(const std::map<std::string, double>& metrics) {
  v1::GetMetricsResponse message;
  message.mutable_result()->insert(metrics.begin(), metrics.end());
  return message.SerializeAsString();
}

// Those of its own options, if it has any.
std::string ModelBytes(const JobRow& row) {
  return row.model_override.has_value()
             ? row.model_override->SerializeAsString()
             : "";
}

}  // namespace

absl::StatusOr<std::optional<JobRow>> Tx::FindJob(JobId id) {
  if (rows_ != nullptr) {
    if (const JobRow* row = rows_->FindJob(id)) return std::optional(*row);
  }
  absl::StatusOr<std::optional<JobRow>> row = Reader::FindJob(id);
  if (rows_ != nullptr && row.ok() && row->has_value()) rows_->NoteRead(**row);
  return row;
}

absl::StatusOr<std::optional<AttemptRow>> Tx::FindAttempt(FencingToken token) {
  if (rows_ != nullptr) {
    if (const AttemptRow* row = rows_->FindAttempt(token)) {
      return std::optional(*row);
    }
  }
  return Reader::FindAttempt(token);
}

absl::Status Tx::BeginWrite() {
  if (work_writes_) return absl::OkStatus();
  // A savepoint keeps a copy of each page that the work touches. The first work
  // that writes needs none: there is nothing to keep when it is undone.
  if (written_) {
    FOLDFARM_RETURN_IF_ERROR(connection_.Prepare("SAVEPOINT work").Run());
    savepoint_ = true;
  }
  work_writes_ = true;
  written_ = true;
  return absl::OkStatus();
}

absl::StatusOr<int64_t> Tx::InsertDataset(const v1::Dataset& dataset) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  const std::string bytes = dataset.SerializeAsString();
  Statement s = connection_.Prepare(
      "INSERT INTO dataset(name, digest, dataset) VALUES(?, ?, ?)");
  FOLDFARM_RETURN_IF_ERROR(
      s.Bind(dataset.name(), dataset.digest(), Blob{bytes}).Run());
  return connection_.last_insert_id();
}

absl::Status Tx::InsertWeights(const v1::Weights& weights) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  const google::protobuf::Timestamp& time = weights.create_time();
  return connection_
      .Prepare(
          "INSERT INTO weights(name, digest, size_bytes, create_us) VALUES(?, "
          "?, ?, ?)")
      .Bind(
          weights.name(), weights.digest(),
          static_cast<int64_t>(weights.size_bytes()),
          static_cast<int64_t>(time.seconds() * 1000000 + time.nanos() / 1000))
      .Run();
}

absl::StatusOr<SweepId> Tx::InsertSweep(const SweepRow& row) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  const std::string spec = row.spec.SerializeAsString();
  Statement s = connection_.Prepare(
      "INSERT INTO sweep(request_id, name, dataset_id, spec, priority, models,"
      " folds, reused, create_us) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)");
  FOLDFARM_RETURN_IF_ERROR(s.Bind(row.request_id, row.name, row.dataset_id,
                                  Blob{spec}, row.priority, row.models,
                                  row.folds, row.reused, row.create_time)
                               .Run());
  return SweepId{connection_.last_insert_id()};
}

absl::Status Tx::InsertFold(SweepId sweep, int fold,
                            const v1::AttemptSpec& samples) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  const std::string bytes = samples.SerializeAsString();
  return connection_
      .Prepare("INSERT INTO fold(sweep_id, fold, samples) VALUES(?, ?, ?)")
      .Bind(sweep.value, fold, Blob{bytes})
      .Run();
}

absl::Status Tx::InsertInput(SweepId sweep, const InputRow& row) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  return connection_
      .Prepare(
          "INSERT INTO input(sweep_id, model_index, name, digest, size_bytes) "
          "VALUES(?, ?, ?, ?, ?)")
      .Bind(sweep.value, row.model_index, row.file.name(), row.file.digest(),
            static_cast<int64_t>(row.file.size_bytes()))
      .Run();
}

absl::StatusOr<JobId> Tx::InsertJob(const JobRow& row) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  Statement s = connection_.Prepare(
      "INSERT INTO job(sweep_id, position, model, model_index, fold, state, "
      "slots, result_key, reused_from, epoch, epochs, create_us, end_us, "
      "change, log_loss, needs_exec, checkpoint_epoch, model_override) "
      "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  const std::string model = ModelBytes(row);
  s.Bind(row.sweep.value, row.position, row.model, row.model_index, row.fold,
         static_cast<int>(row.state), row.slots, row.result_key,
         row.reused_from.value, row.epoch, row.epochs, row.create_time,
         row.end_time, row.change, nullptr, row.needs_exec,
         row.checkpoint_epoch, nullptr);
  if (row.log_loss.has_value()) s.BindAt(15, *row.log_loss);
  if (row.model_override.has_value()) s.BindAt(18, Blob{model});
  FOLDFARM_RETURN_IF_ERROR(s.Run());
  return JobId{connection_.last_insert_id()};
}

absl::Status Tx::UpdateDecisions(const SweepRow& row) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  return connection_
      .Prepare("UPDATE sweep SET screened = ?, stopped = ? WHERE id = ?")
      .Bind(row.screened, row.stopped, row.id.value)
      .Run();
}

absl::Status Tx::UpdateJob(const JobRow& row, FencingToken expected) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  {
    Statement s = connection_.Prepare(
        "UPDATE job SET state = ?, slots = ?, attempt_count = ?, failed_count "
        "= ?, lost_count = ?, token = ?, not_before_us = ?, cancel_requested = "
        "?, epoch = ?, epochs = ?, log_loss = ?, seconds_per_epoch = ?, error "
        "= ?, checkpoint_epoch = ?, end_us = ?, change = ?, dropped = ? WHERE "
        "id = ? AND token = ?");
    s.Bind(static_cast<int>(row.state), row.slots, row.attempt_count,
           row.failed_count, row.lost_count, row.token.value, row.not_before,
           row.cancel_requested, row.epoch, row.epochs, nullptr,
           row.seconds_per_epoch, row.error, row.checkpoint_epoch, row.end_time,
           row.change, row.dropped, row.id.value, expected.value);
    if (row.log_loss.has_value()) s.BindAt(11, *row.log_loss);
    FOLDFARM_RETURN_IF_ERROR(s.Run());
  }
  if (connection_.changes() == 1) {
    if (rows_ != nullptr) rows_->NoteUpdate(row);
    return absl::OkStatus();
  }
  return absl::AbortedError(absl::StrCat(
      "attempt ", expected.value, " is not the newest of job ", row.id.value));
}

absl::Status Tx::UpdateWish(const JobRow& row) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  if (rows_ != nullptr) rows_->Forget(row.id);
  const std::string model = ModelBytes(row);
  Statement s = connection_.Prepare(
      "UPDATE job SET paused = ?, slots = ?, result_key = ?, model_override = "
      "?, change = ? WHERE id = ?");
  s.Bind(row.paused, row.slots, row.result_key, nullptr, row.change,
         row.id.value);
  if (row.model_override.has_value()) s.BindAt(4, Blob{model});
  return s.Run();
}

absl::Status Tx::UpdatePriority(SweepId sweep, int priority) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  return connection_.Prepare("UPDATE sweep SET priority = ? WHERE id = ?")
      .Bind(priority, sweep.value)
      .Run();
}

absl::StatusOr<FencingToken> Tx::InsertAttempt(const AttemptRow& row) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  Statement s = connection_.Prepare(
      "INSERT INTO attempt(job_id, number, state, session, worker, start_us, "
      "lease_until_us, heartbeat_us, resumed_epoch, granted_by, token) "
      "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  s.Bind(row.job.value, row.number, static_cast<int>(row.state),
         row.session.value, row.worker, row.start_time, row.lease_until,
         row.heartbeat_time, row.resumed_epoch, row.granted_by.value, nullptr);
  // Of work that is undone it is lost: no token is given out twice.
  if (next_token_ != nullptr) s.BindAt(11, (*next_token_)++);
  FOLDFARM_RETURN_IF_ERROR(s.Run());
  const FencingToken token{connection_.last_insert_id()};
  if (rows_ != nullptr) {
    AttemptRow inserted = row;
    inserted.token = token;
    rows_->NoteInsert(inserted);
  }
  return token;
}

absl::Status Tx::UpdateAttempt(const AttemptRow& row) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  v1::Attempt tail;
  for (const std::string& line : row.log_tail) tail.add_log_tail(line);
  const std::string tail_bytes = tail.SerializeAsString();
  const std::string metrics = MetricsBytes(row.metrics);
  Statement s = connection_.Prepare(
      "UPDATE attempt SET state = ?, outcome = ?, session = ?, device = ?, "
      "start_us = ?, end_us = ?, lease_until_us = ?, heartbeat_us = ?, "
      "exit_status = ?, signal = ?, error = ?, resumed_epoch = ?, log_tail "
      "= ?, uncharged = ?, peak_memory_bytes = ?, cpu_seconds = ?, metrics "
      "= ? WHERE token = ?");
  s.Bind(static_cast<int>(row.state), static_cast<int>(row.outcome),
         row.session.value, row.device, row.start_time, row.end_time,
         row.lease_until, row.heartbeat_time, row.exit_status, row.signal,
         row.error, row.resumed_epoch, Blob{tail_bytes},
         static_cast<int>(row.uncharged), row.peak_memory_bytes,
         row.cpu_seconds, nullptr, row.token.value);
  if (!metrics.empty()) s.BindAt(17, Blob{metrics});
  FOLDFARM_RETURN_IF_ERROR(s.Run());
  if (rows_ != nullptr) rows_->NoteUpdate(row);
  return absl::OkStatus();
}

absl::Status Tx::ExtendLease(FencingToken token, absl::Time lease_until,
                             absl::Time heartbeat_time) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  FOLDFARM_RETURN_IF_ERROR(
      connection_
          .Prepare(
              "UPDATE attempt SET lease_until_us = ?, heartbeat_us = ? WHERE "
              "token = ?")
          .Bind(lease_until, heartbeat_time, token.value)
          .Run());
  if (rows_ != nullptr)
    rows_->NoteExtension(token, lease_until, heartbeat_time);
  return absl::OkStatus();
}

absl::StatusOr<WorkerSession> Tx::InsertWorker(const WorkerRow& row) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  v1::Worker worker;
  worker.set_name(row.name);
  worker.set_host(row.host);
  for (const std::string& device : row.devices) worker.add_devices(device);
  worker.set_slots(row.slots);
  worker.set_version(row.version);
  worker.set_allow_exec(row.allow_exec);
  if (row.stop_time != absl::InfinitePast()) {
    SetTime(row.stop_time, worker.mutable_stop_time());
  }
  const std::string bytes = worker.SerializeAsString();
  Statement s = connection_.Prepare(
      "INSERT OR REPLACE INTO worker(name, worker, start_us) VALUES(?, ?, ?)");
  FOLDFARM_RETURN_IF_ERROR(s.Bind(row.name, Blob{bytes}, row.start_time).Run());
  return WorkerSession{connection_.last_insert_id()};
}

absl::Status Tx::DropWorker(WorkerSession session) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  return connection_.Prepare("DELETE FROM worker WHERE session = ?")
      .Bind(session.value)
      .Run();
}

absl::Status Tx::SetWorkerHold(const WorkerHoldRow& row) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  return connection_
      .Prepare(
          "INSERT OR REPLACE INTO worker_hold(name, quarantined, reason, "
          "time_us) VALUES(?, ?, ?, ?)")
      .Bind(row.name, static_cast<int>(row.quarantined), row.reason, row.time)
      .Run();
}

absl::Status Tx::DropWorkerHold(const std::string& name) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  return connection_.Prepare("DELETE FROM worker_hold WHERE name = ?")
      .Bind(name)
      .Run();
}

absl::Status Tx::SetArtifacts(JobId job, ArtifactKind kind,
                              const std::vector<v1::ArtifactRef>& refs) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  // Deleting, even nothing, costs SQLite a temporary table.
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<v1::ArtifactRef> former,
                            ListArtifacts(job, kind));
  if (!former.empty()) {
    FOLDFARM_RETURN_IF_ERROR(
        connection_
            .Prepare("DELETE FROM job_artifact WHERE job_id = ? AND kind = ?")
            .Bind(job.value, static_cast<int>(kind))
            .Run());
  }
  return AddArtifacts(job, kind, refs);
}

absl::Status Tx::AddArtifacts(JobId job, ArtifactKind kind,
                              const std::vector<v1::ArtifactRef>& refs) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  for (const v1::ArtifactRef& ref : refs) {
    FOLDFARM_RETURN_IF_ERROR(
        connection_
            .Prepare("INSERT INTO job_artifact(job_id, kind, name, digest, "
                     "size_bytes) VALUES(?, ?, ?, ?, ?)")
            .Bind(job.value, static_cast<int>(kind), ref.name(), ref.digest(),
                  static_cast<int64_t>(ref.size_bytes()))
            .Run());
  }
  return absl::OkStatus();
}

absl::Status Tx::SetResultMetrics(
    JobId job, const std::map<std::string, double>& metrics) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  const std::string bytes = MetricsBytes(metrics);
  return connection_
      .Prepare("INSERT OR REPLACE INTO result(job_id, metrics) VALUES(?, ?)")
      .Bind(job.value, Blob{bytes})
      .Run();
}

absl::Status Tx::PutMetrics(JobId job, const v1::EpochMetrics& metrics) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  const std::string bytes = metrics.SerializeAsString();
  return connection_
      .Prepare(
          "INSERT OR REPLACE INTO metric(job_id, epoch, metrics) VALUES(?, ?, "
          "?)")
      .Bind(job.value, metrics.epoch(), Blob{bytes})
      .Run();
}

absl::Status Tx::TakeOverMetrics(JobId from, JobId to, int last) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  return connection_
      .Prepare(
          "INSERT INTO metric(job_id, epoch, metrics) SELECT ?, epoch, metrics "
          "FROM metric WHERE job_id = ? AND epoch <= ?")
      .Bind(to.value, from.value, last)
      .Run();
}

absl::Status Tx::DropMetricsAfter(JobId job, int epoch) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  return connection_
      .Prepare("DELETE FROM metric WHERE job_id = ? AND epoch > ?")
      .Bind(job.value, epoch)
      .Run();
}

absl::Status Tx::PutLogLine(JobId job, FencingToken token,
                            const v1::LogLine& line) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  const int64_t micros =
      line.time().seconds() * 1000000 + line.time().nanos() / 1000;
  return connection_
      .Prepare(
          "INSERT OR IGNORE INTO log_line(job_id, token, sequence, time_us, "
          "level, text) VALUES(?, ?, ?, ?, ?, ?)")
      .Bind(job.value, token.value, static_cast<int64_t>(line.sequence()),
            micros, line.level(), line.text())
      .Run();
}

absl::Status Tx::InsertEvent(absl::Time time, JobId job, FencingToken token,
                             v1::Job::State state, absl::string_view detail) {
  FOLDFARM_RETURN_IF_ERROR(BeginWrite());
  return connection_
      .Prepare(
          "INSERT INTO event(time_us, job_id, token, state, detail) VALUES(?, "
          "?, ?, ?, ?)")
      .Bind(time, job.value, token.value, static_cast<int>(state), detail)
      .Run();
}

}  // namespace foldfarm
