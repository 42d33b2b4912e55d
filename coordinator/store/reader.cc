#include "coordinator/store/reader.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "coordinator/store/blob.h"

namespace foldfarm {
namespace {

#define FOLDFARM_SELECT_SWEEP                                            \
  "SELECT s.id, s.request_id, s.name, s.dataset_id, d.dataset, s.spec, " \
  "s.priority, s.models, s.folds, s.reused, s.create_us, s.screened, "   \
  "s.stopped FROM sweep s JOIN dataset d ON d.id = s.dataset_id "

#define FOLDFARM_SELECT_JOB                                                    \
  "SELECT j.id, j.sweep_id, j.position, j.model, j.model_index, j.fold, "      \
  "j.state, j.slots, j.attempt_count, j.failed_count, j.lost_count, "          \
  "j.token, j.not_before_us, j.cancel_requested, j.result_key, "               \
  "j.reused_from, j.epoch, j.epochs, j.log_loss, j.seconds_per_epoch, "        \
  "j.error, j.checkpoint_epoch, j.create_us, j.end_us, j.change, a.worker,"    \
  " a.start_us, j.needs_exec, j.dropped, j.paused, j.model_override FROM job " \
  "j LEFT JOIN attempt a ON "                                                  \
  "a.token = j.token "

#define FOLDFARM_SELECT_ATTEMPT                                             \
  "SELECT token, job_id, number, state, outcome, session, worker, device, " \
  "start_us, end_us, lease_until_us, heartbeat_us, exit_status, signal, "   \
  "error, resumed_epoch, log_tail, granted_by, uncharged, "                 \
  "peak_memory_bytes, cpu_seconds, metrics FROM attempt "

absl::StatusOr<SweepRow> ReadSweep(const Statement& s) {
  SweepRow row;
  row.id = {s.Int(0)};
  row.request_id = s.Text(1);
  row.name = s.Text(2);
  row.dataset_id = s.Int(3);
  FOLDFARM_RETURN_IF_ERROR(ParseBlob(s.Bytes(4), "dataset", row.dataset));
  FOLDFARM_RETURN_IF_ERROR(ParseBlob(s.Bytes(5), "sweep", row.spec));
  row.priority = static_cast<int>(s.Int(6));
  row.models = static_cast<int>(s.Int(7));
  row.folds = static_cast<int>(s.Int(8));
  row.reused = static_cast<int>(s.Int(9));
  row.create_time = s.Time(10);
  row.screened = s.Text(11);
  row.stopped = s.Text(12);
  return row;
}

absl::StatusOr<JobRow> ReadJob(const Statement& s) {
  JobRow row;
  row.id = {s.Int(0)};
  row.sweep = {s.Int(1)};
  row.position = static_cast<int>(s.Int(2));
  row.model = s.Text(3);
  row.model_index = static_cast<int>(s.Int(4));
  row.fold = static_cast<int>(s.Int(5));
  row.state = static_cast<v1::Job::State>(s.Int(6));
  row.slots = static_cast<int>(s.Int(7));
  row.attempt_count = static_cast<int>(s.Int(8));
  row.failed_count = static_cast<int>(s.Int(9));
  row.lost_count = static_cast<int>(s.Int(10));
  row.token = {s.Int(11)};
  row.not_before = s.Time(12);
  row.cancel_requested = s.Int(13) != 0;
  row.result_key = s.Text(14);
  row.reused_from = {s.Int(15)};
  row.epoch = static_cast<int>(s.Int(16));
  row.epochs = static_cast<int>(s.Int(17));
  if (!s.IsNull(18)) row.log_loss = s.Double(18);
  row.seconds_per_epoch = s.Double(19);
  row.error = s.Text(20);
  row.checkpoint_epoch = static_cast<int>(s.Int(21));
  row.create_time = s.Time(22);
  row.end_time = s.Time(23);
  row.change = s.Int(24);
  row.worker = s.Text(25);
  row.start_time = s.Time(26);
  row.needs_exec = s.Int(27) != 0;
  row.dropped = s.Int(28) != 0;
  row.paused = s.Int(29) != 0;
  if (!s.IsNull(30)) {
    row.model_override.emplace();
    FOLDFARM_RETURN_IF_ERROR(
        ParseBlob(s.Bytes(30), "options of a job", *row.model_override));
  }
  return row;
}

absl::StatusOr<AttemptRow> ReadAttempt(const Statement& s) {
  AttemptRow row;
  row.token = {s.Int(0)};
  row.job = {s.Int(1)};
  row.number = static_cast<int>(s.Int(2));
  row.state = static_cast<v1::Attempt::State>(s.Int(3));
  row.outcome = static_cast<v1::Attempt::State>(s.Int(4));
  row.session = {s.Int(5)};
  row.worker = s.Text(6);
  row.device = s.Text(7);
  row.start_time = s.Time(8);
  row.end_time = s.Time(9);
  row.lease_until = s.Time(10);
  row.heartbeat_time = s.Time(11);
  row.exit_status = static_cast<int>(s.Int(12));
  row.signal = static_cast<int>(s.Int(13));
  row.error = s.Text(14);
  row.resumed_epoch = static_cast<int>(s.Int(15));
  v1::Attempt tail;
  FOLDFARM_RETURN_IF_ERROR(ParseBlob(s.Bytes(16), "log tail", tail));
  row.log_tail.assign(tail.log_tail().begin(), tail.log_tail().end());
  row.granted_by = {s.Int(17)};
  row.uncharged = s.Int(18) != 0;
  row.peak_memory_bytes = s.Int(19);
  row.cpu_seconds = s.Double(20);
  v1::GetMetricsResponse metrics;
  FOLDFARM_RETURN_IF_ERROR(ParseBlob(s.Bytes(21), "result", metrics));
  row.metrics.insert(metrics.result().begin(), metrics.result().end());
  return row;
}

absl::StatusOr<DatasetRow> ReadDataset(const Statement& s) {
  DatasetRow row;
  row.id = s.Int(0);
  FOLDFARM_RETURN_IF_ERROR(ParseBlob(s.Bytes(1), "dataset", row.dataset));
  return row;
}

// Rows of a statement, each through `read`.
template <typename Row>
absl::StatusOr<std::vector<Row>> All(
    Statement& s, absl::StatusOr<Row> (*read)(const Statement&)) {
  std::vector<Row> rows;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return rows;
    FOLDFARM_ASSIGN_OR_RETURN(Row row, read(s));
    rows.push_back(std::move(row));
  }
}

template <typename Row>
absl::StatusOr<std::optional<Row>> First(
    Statement& s, absl::StatusOr<Row> (*read)(const Statement&)) {
  FOLDFARM_ASSIGN_OR_RETURN(const bool found, s.Step());
  if (!found) return std::optional<Row>();
  FOLDFARM_ASSIGN_OR_RETURN(Row row, read(s));
  return std::optional<Row>(std::move(row));
}

}  // namespace

absl::StatusOr<std::optional<DatasetRow>> Reader::FindDataset(
    const std::string& name) const {
  Statement s =
      connection_.Prepare("SELECT id, dataset FROM dataset WHERE name = ?");
  s.Bind(name);
  return First<DatasetRow>(s, ReadDataset);
}

absl::StatusOr<std::vector<DatasetRow>> Reader::ListDatasets() const {
  Statement s =
      connection_.Prepare("SELECT id, dataset FROM dataset ORDER BY name");
  return All<DatasetRow>(s, ReadDataset);
}

absl::StatusOr<std::optional<SweepRow>> Reader::FindSweep(SweepId id) const {
  Statement s = connection_.Prepare(FOLDFARM_SELECT_SWEEP "WHERE s.id = ?");
  s.Bind(id.value);
  return First<SweepRow>(s, ReadSweep);
}

absl::StatusOr<std::optional<SweepRow>> Reader::FindSweepByRequest(
    const std::string& request_id) const {
  Statement s =
      connection_.Prepare(FOLDFARM_SELECT_SWEEP "WHERE s.request_id = ?");
  s.Bind(request_id);
  return First<SweepRow>(s, ReadSweep);
}

absl::StatusOr<std::vector<SweepId>> Reader::FindSweepsByName(
    const std::string& name) const {
  Statement s =
      connection_.Prepare("SELECT id FROM sweep WHERE name = ? ORDER BY id");
  s.Bind(name);
  std::vector<SweepId> ids;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return ids;
    ids.push_back({s.Int(0)});
  }
}

absl::StatusOr<std::vector<SweepRow>> Reader::ListSweeps() const {
  Statement s = connection_.Prepare(FOLDFARM_SELECT_SWEEP "ORDER BY s.id DESC");
  return All<SweepRow>(s, ReadSweep);
}

absl::StatusOr<SweepCounts> Reader::CountJobs(SweepId id) const {
  Statement s = connection_.Prepare(
      "SELECT state, count(*), max(end_us), sum(dropped), sum(paused) FROM "
      "job WHERE "
      "sweep_id = ? GROUP BY state");
  s.Bind(id.value);
  return ReadCounts(s);
}

absl::StatusOr<SweepCounts> Reader::CountAllJobs() const {
  Statement s = connection_.Prepare(
      "SELECT state, count(*), max(end_us), sum(dropped), sum(paused) FROM "
      "job GROUP BY "
      "state");
  return ReadCounts(s);
}

absl::StatusOr<SweepCounts> Reader::ReadCounts(Statement& s) {
  SweepCounts counts;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return counts;
    const int count = static_cast<int>(s.Int(1));
    switch (s.Int(0)) {
      case v1::Job::PENDING:
        counts.pending = count;
        counts.paused += static_cast<int>(s.Int(4));
        break;
      case v1::Job::RUNNING:
        counts.running = count;
        counts.paused += static_cast<int>(s.Int(4));
        break;
      case v1::Job::SUCCEEDED:
        counts.succeeded = count;
        break;
      case v1::Job::FAILED:
        counts.failed = count;
        break;
      case v1::Job::CANCELLED:
        counts.cancelled = count;
        counts.dropped = static_cast<int>(s.Int(3));
        break;
    }
    counts.end_time = std::max(counts.end_time, s.Time(2));
  }
}

absl::StatusOr<std::vector<v1::AttemptSpec>> Reader::ListFolds(
    SweepId id) const {
  Statement s = connection_.Prepare(
      "SELECT samples FROM fold WHERE sweep_id = ? ORDER BY fold");
  s.Bind(id.value);
  std::vector<v1::AttemptSpec> folds;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return folds;
    FOLDFARM_RETURN_IF_ERROR(
        ParseBlob(s.Bytes(0), "fold", folds.emplace_back()));
  }
}

absl::StatusOr<std::optional<JobRow>> Reader::FindJob(JobId id) const {
  Statement s = connection_.Prepare(FOLDFARM_SELECT_JOB "WHERE j.id = ?");
  s.Bind(id.value);
  return First<JobRow>(s, ReadJob);
}

absl::StatusOr<std::optional<JobRow>> Reader::FindJob(SweepId sweep,
                                                      const std::string& model,
                                                      int fold) const {
  Statement s =
      connection_.Prepare(FOLDFARM_SELECT_JOB
                          "WHERE j.sweep_id = ? AND j.model = ? AND j.fold = "
                          "?");
  s.Bind(sweep.value, model, fold);
  return First<JobRow>(s, ReadJob);
}

absl::StatusOr<std::optional<JobRow>> Reader::FindResult(
    const std::string& result_key) const {
  Statement s = connection_.Prepare(
      FOLDFARM_SELECT_JOB "WHERE j.result_key = ? AND j.state = 3 LIMIT 1");
  s.Bind(result_key);
  return First<JobRow>(s, ReadJob);
}

absl::StatusOr<std::optional<JobRow>> Reader::FindBegun(
    const std::string& result_key) const {
  Statement s = connection_.Prepare(
      FOLDFARM_SELECT_JOB
      "WHERE j.result_key = ? AND j.state IN (1, 2, 5) AND j.checkpoint_epoch "
      "> 0 ORDER BY j.checkpoint_epoch DESC LIMIT 1");
  s.Bind(result_key);
  return First<JobRow>(s, ReadJob);
}

absl::StatusOr<std::vector<JobRow>> Reader::ListJobs(
    SweepId sweep, int64_t after_change) const {
  Statement s = connection_.Prepare(
      FOLDFARM_SELECT_JOB
      "WHERE j.sweep_id = ? AND j.change > ? ORDER BY j.position");
  s.Bind(sweep.value, after_change);
  return All<JobRow>(s, ReadJob);
}

absl::StatusOr<std::vector<JobRow>> Reader::ListOpenJobs() const {
  Statement s = connection_.Prepare(FOLDFARM_SELECT_JOB
                                    "WHERE j.state IN (1, 2) ORDER BY j.id");
  return All<JobRow>(s, ReadJob);
}

absl::StatusOr<std::map<JobId, int64_t>> Reader::ListCompletions(
    SweepId sweep) const {
  Statement s = connection_.Prepare(
      "SELECT j.id, coalesce(trained.change, j.change) FROM job j LEFT JOIN "
      "job trained ON trained.id = j.reused_from WHERE j.sweep_id = ? AND "
      "j.state = 3");
  s.Bind(sweep.value);
  std::map<JobId, int64_t> completions;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return completions;
    completions[{s.Int(0)}] = s.Int(1);
  }
}

absl::StatusOr<int64_t> Reader::LastChange() const {
  Statement s = connection_.Prepare("SELECT max(change) FROM job");
  FOLDFARM_ASSIGN_OR_RETURN(const bool found, s.Step());
  return found ? s.Int(0) : 0;
}

absl::StatusOr<std::optional<AttemptRow>> Reader::FindAttempt(
    FencingToken token) const {
  Statement s = connection_.Prepare(FOLDFARM_SELECT_ATTEMPT "WHERE token = ?");
  s.Bind(token.value);
  return First<AttemptRow>(s, ReadAttempt);
}

absl::StatusOr<std::vector<AttemptRow>> Reader::ListAttempts(JobId job) const {
  Statement s = connection_.Prepare(FOLDFARM_SELECT_ATTEMPT
                                    "WHERE job_id = ? ORDER BY token");
  s.Bind(job.value);
  return All<AttemptRow>(s, ReadAttempt);
}

absl::StatusOr<std::map<std::string, double>> Reader::SecondsByModel(
    SweepId sweep) const {
  Statement s = connection_.Prepare(
      "SELECT j.model, sum(a.end_us - a.start_us) FROM job j JOIN attempt a "
      "ON a.job_id = CASE j.reused_from WHEN 0 THEN j.id ELSE j.reused_from "
      "END WHERE j.sweep_id = ? AND a.end_us IS NOT NULL GROUP BY j.model");
  s.Bind(sweep.value);
  std::map<std::string, double> seconds;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return seconds;
    seconds[s.Text(0)] = static_cast<double>(s.Int(1)) * 1e-6;
  }
}

}  // namespace foldfarm
