#include "coordinator/store/schema.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace foldfarm {
namespace {

// Step i takes version i to i + 1. Steps are never edited once released.
const char* const kSteps[] = {
    R"sql(
-- Times are microseconds since the epoch; NULL: not yet.
-- Blobs are Protobuf messages of foldfarm.v1, named at each.
-- Every index is paid for at each lease and result: only what is asked for
-- while many wait has one.
CREATE TABLE dataset(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  digest TEXT NOT NULL,
  dataset BLOB NOT NULL);           -- Dataset

CREATE TABLE sweep(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  request_id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  dataset_id INTEGER NOT NULL REFERENCES dataset,
  spec BLOB NOT NULL,               -- SweepSpec
  priority INTEGER NOT NULL,
  models INTEGER NOT NULL,
  folds INTEGER NOT NULL,
  reused INTEGER NOT NULL,
  create_us INTEGER NOT NULL);
CREATE INDEX sweep_name ON sweep(name);

CREATE TABLE fold(
  sweep_id INTEGER NOT NULL REFERENCES sweep,
  fold INTEGER NOT NULL,
  samples BLOB NOT NULL,            -- AttemptSpec: only the sample lists
  PRIMARY KEY(sweep_id, fold)) WITHOUT ROWID;

CREATE TABLE job(
  id INTEGER PRIMARY KEY,
  sweep_id INTEGER NOT NULL REFERENCES sweep,
  position INTEGER NOT NULL,
  model TEXT NOT NULL,
  model_index INTEGER NOT NULL,
  fold INTEGER NOT NULL,
  state INTEGER NOT NULL,           -- Job.State
  slots INTEGER NOT NULL,
  attempt_count INTEGER NOT NULL DEFAULT 0,
  failed_count INTEGER NOT NULL DEFAULT 0,
  lost_count INTEGER NOT NULL DEFAULT 0,
  token INTEGER NOT NULL DEFAULT 0, -- newest attempt
  not_before_us INTEGER,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  result_key TEXT NOT NULL,
  reused_from INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0,
  epochs INTEGER NOT NULL DEFAULT 0,
  log_loss REAL,
  seconds_per_epoch REAL NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  checkpoint_epoch INTEGER NOT NULL DEFAULT 0,
  create_us INTEGER NOT NULL,
  end_us INTEGER,
  change INTEGER NOT NULL,
  UNIQUE(sweep_id, position),
  UNIQUE(sweep_id, model, fold),
  CHECK((end_us IS NOT NULL) = (state IN (3, 4, 5))));
CREATE INDEX job_result ON job(result_key) WHERE state = 3;

-- AUTOINCREMENT: a token is never given twice, also after rows are deleted.
CREATE TABLE attempt(
  token INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id INTEGER NOT NULL REFERENCES job,
  number INTEGER NOT NULL,
  state INTEGER NOT NULL,           -- Attempt.State
  outcome INTEGER NOT NULL DEFAULT 0,
  session INTEGER NOT NULL,
  worker TEXT NOT NULL,
  device TEXT NOT NULL DEFAULT '',
  start_us INTEGER NOT NULL,
  end_us INTEGER,
  lease_until_us INTEGER NOT NULL,
  heartbeat_us INTEGER,
  exit_status INTEGER NOT NULL DEFAULT 0,
  signal INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  resumed_epoch INTEGER NOT NULL DEFAULT 0,
  log_tail BLOB,                    -- Attempt: only log_tail
  granted_by INTEGER NOT NULL DEFAULT 0);
CREATE INDEX attempt_job ON attempt(job_id);
CREATE INDEX attempt_running ON attempt(state) WHERE state = 1;

CREATE TABLE worker(
  session INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,        -- only a name's newest session is kept
  worker BLOB NOT NULL,             -- Worker
  start_us INTEGER NOT NULL);

CREATE TABLE job_artifact(
  job_id INTEGER NOT NULL REFERENCES job,
  kind INTEGER NOT NULL,            -- 0 result, 1 checkpoint
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  PRIMARY KEY(job_id, kind, name)) WITHOUT ROWID;
CREATE INDEX job_artifact_digest ON job_artifact(digest);

-- Metrics of the result of a job that succeeded.
CREATE TABLE result(
  job_id INTEGER PRIMARY KEY REFERENCES job,
  metrics BLOB NOT NULL);           -- GetMetricsResponse: only result

CREATE TABLE metric(
  job_id INTEGER NOT NULL REFERENCES job,
  epoch INTEGER NOT NULL,
  metrics BLOB NOT NULL,            -- EpochMetrics
  PRIMARY KEY(job_id, epoch)) WITHOUT ROWID;

CREATE TABLE log_line(
  job_id INTEGER NOT NULL REFERENCES job,
  token INTEGER NOT NULL,
  sequence INTEGER NOT NULL,        -- within the attempt, from 1
  time_us INTEGER NOT NULL,
  level TEXT NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY(job_id, token, sequence)) WITHOUT ROWID;

-- Every change of a job's state, for people who ask what happened.
CREATE TABLE event(
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  time_us INTEGER NOT NULL,
  job_id INTEGER NOT NULL,
  token INTEGER NOT NULL,
  state INTEGER NOT NULL,           -- Job.State
  detail TEXT NOT NULL);
)sql",
    R"sql(
-- Files of weights that models may start from.
CREATE TABLE weights(
  name TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  create_us INTEGER NOT NULL) WITHOUT ROWID;

-- Files that the attempts of a model start with, beside the dataset.
CREATE TABLE input(
  sweep_id INTEGER NOT NULL REFERENCES sweep,
  model_index INTEGER NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  PRIMARY KEY(sweep_id, model_index, name)) WITHOUT ROWID;
CREATE INDEX input_digest ON input(digest);

-- Leased only to workers that run programs of users.
ALTER TABLE job ADD COLUMN needs_exec INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
-- What the farm decided by itself about a sweep, for people; '': nothing yet.
ALTER TABLE sweep ADD COLUMN screened TEXT NOT NULL DEFAULT '';
ALTER TABLE sweep ADD COLUMN stopped TEXT NOT NULL DEFAULT '';

-- Cancelled, or told to stop, by such a decision and by nobody.
ALTER TABLE job ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
)sql",
    R"sql(
-- Not leased until a person resumes it.
ALTER TABLE job ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
-- ModelSpec: of a job that was retried with other options; NULL: the sweep's.
ALTER TABLE job ADD COLUMN model_override BLOB;
)sql",
    R"sql(
-- Workers that get no leases, by name: whatever session runs under it.
CREATE TABLE worker_hold(
  name TEXT PRIMARY KEY,
  quarantined INTEGER NOT NULL,     -- 0: a person drains it
  reason TEXT NOT NULL,
  time_us INTEGER NOT NULL) WITHOUT ROWID;

-- Failed by its worker's fault: does not count against the job.
ALTER TABLE attempt ADD COLUMN uncharged INTEGER NOT NULL DEFAULT 0;
-- What its processes used.
ALTER TABLE attempt ADD COLUMN peak_memory_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempt ADD COLUMN cpu_seconds REAL NOT NULL DEFAULT 0;
)sql",
    R"sql(
-- A lease and a result are paid for by the pages that they touch: running
-- attempts are found by their jobs, a result's metrics lie with its attempt,
-- and a token needs no counter in a table of its own (no attempt is ever
-- deleted, so none is given twice). What attempts tell is no event any more.
CREATE TABLE new_attempt(
  token INTEGER PRIMARY KEY,
  job_id INTEGER NOT NULL REFERENCES job,
  number INTEGER NOT NULL,
  state INTEGER NOT NULL,           -- Attempt.State
  outcome INTEGER NOT NULL DEFAULT 0,
  session INTEGER NOT NULL,
  worker TEXT NOT NULL,
  device TEXT NOT NULL DEFAULT '',
  start_us INTEGER NOT NULL,
  end_us INTEGER,
  lease_until_us INTEGER NOT NULL,
  heartbeat_us INTEGER,
  exit_status INTEGER NOT NULL DEFAULT 0,
  signal INTEGER NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  resumed_epoch INTEGER NOT NULL DEFAULT 0,
  log_tail BLOB,                    -- Attempt: only log_tail
  granted_by INTEGER NOT NULL DEFAULT 0,
  uncharged INTEGER NOT NULL DEFAULT 0,
  peak_memory_bytes INTEGER NOT NULL DEFAULT 0,
  cpu_seconds REAL NOT NULL DEFAULT 0,
  metrics BLOB);                    -- GetMetricsResponse: only result
INSERT INTO new_attempt SELECT a.token, a.job_id, a.number, a.state, a.outcome,
  a.session, a.worker, a.device, a.start_us, a.end_us, a.lease_until_us,
  a.heartbeat_us, a.exit_status, a.signal, a.error, a.resumed_epoch, a.log_tail,
  a.granted_by, a.uncharged, a.peak_memory_bytes, a.cpu_seconds, r.metrics
  FROM attempt a LEFT JOIN job j ON j.token = a.token AND j.id = a.job_id AND
  j.state = 3 LEFT JOIN result r ON r.job_id = j.id ORDER BY a.token;
DROP TABLE attempt;
ALTER TABLE new_attempt RENAME TO attempt;
CREATE INDEX attempt_job ON attempt(job_id);

-- From here on: metrics of results that were taken over from other jobs.
DELETE FROM result WHERE job_id IN (SELECT id FROM job WHERE token > 0 AND
  state = 3);

-- The same check without a list: SQLite puts a list of three into a temporary
-- table, anew for every row that is written.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'state IN (3, 4, 5)',
  'state BETWEEN 3 AND 5') WHERE type = 'table' AND name = 'job';
PRAGMA writable_schema = RESET;

-- A key never changes when its job succeeds.
DROP INDEX job_result;
CREATE INDEX job_result_key ON job(result_key);
)sql",
};

}  // namespace

int SchemaVersion() { return static_cast<int>(std::size(kSteps)); }

absl::Status Migrate(Connection& connection, int to) {
  int version = 0;
  {
    Statement read = connection.Prepare("PRAGMA user_version");
    FOLDFARM_ASSIGN_OR_RETURN(const bool row, read.Step());
    if (row) version = static_cast<int>(read.Int(0));
  }
  if (version > SchemaVersion()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database has schema version ", version,
                     ", this program knows up to ", SchemaVersion(),
                     "; start the newer foldfarm-coordinator that wrote it"));
  }
  for (; version < to; ++version) {
    const absl::Status status = connection.Execute(
        absl::StrCat("BEGIN IMMEDIATE;", kSteps[version],
                     "PRAGMA user_version = ", version + 1, "; COMMIT;"));
    if (!status.ok()) {
      if (connection.in_transaction()) {
        connection.Execute("ROLLBACK").IgnoreError();
      }
      return Annotate(status,
                      absl::StrCat("migration from schema version ", version));
    }
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
