// The part of Reader about workers, and the files that attempts start with and
// leave behind.
#include "common/base/proto_time.h"
#include "common/base/status_macros.h"
#include "coordinator/store/blob.h"
#include "coordinator/store/reader.h"

namespace foldfarm {
namespace {

v1::ArtifactRef ReadArtifact(const Statement& s, int column) {
  v1::ArtifactRef ref;
  ref.set_name(s.Text(column));
  ref.set_digest(s.Text(column + 1));
  ref.set_size_bytes(s.Int(column + 2));
  return ref;
}

v1::Weights ReadWeights(const Statement& s) {
  v1::Weights weights;
  weights.set_name(s.Text(0));
  weights.set_digest(s.Text(1));
  weights.set_size_bytes(s.Int(2));
  SetTime(s.Time(3), weights.mutable_create_time());
  return weights;
}

}  // namespace

absl::StatusOr<std::optional<v1::Weights>> Reader::FindWeights(
    const std::string& name) const {
  Statement s = connection_.Prepare(
      "SELECT name, digest, size_bytes, create_us FROM weights WHERE name = ?");
  s.Bind(name);
  FOLDFARM_ASSIGN_OR_RETURN(const bool found, s.Step());
  if (!found) return std::optional<v1::Weights>();
  return std::optional<v1::Weights>(ReadWeights(s));
}

absl::StatusOr<std::vector<v1::Weights>> Reader::ListWeights() const {
  Statement s = connection_.Prepare(
      "SELECT name, digest, size_bytes, create_us FROM weights ORDER BY name");
  std::vector<v1::Weights> all;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return all;
    all.push_back(ReadWeights(s));
  }
}

absl::StatusOr<std::vector<InputRow>> Reader::ListInputs(SweepId id) const {
  Statement s = connection_.Prepare(
      "SELECT model_index, name, digest, size_bytes FROM input WHERE sweep_id "
      "= ? ORDER BY model_index, name");
  s.Bind(id.value);
  std::vector<InputRow> rows;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return rows;
    rows.push_back({static_cast<int>(s.Int(0)), ReadArtifact(s, 1)});
  }
}

absl::StatusOr<std::vector<WorkerRow>> Reader::ListWorkers() const {
  Statement s = connection_.Prepare(
      "SELECT session, worker, start_us FROM worker ORDER BY name");
  std::vector<WorkerRow> rows;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return rows;
    v1::Worker worker;
    FOLDFARM_RETURN_IF_ERROR(ParseBlob(s.Bytes(1), "worker", worker));
    rows.push_back(
        {.session = {s.Int(0)},
         .name = worker.name(),
         .host = worker.host(),
         .devices = {worker.devices().begin(), worker.devices().end()},
         .slots = worker.slots(),
         .version = worker.version(),
         .allow_exec = worker.allow_exec(),
         .start_time = s.Time(2),
         .stop_time =
             worker.has_stop_time()
                 ? absl::FromUnixMicros(worker.stop_time().seconds() * 1000000 +
                                        worker.stop_time().nanos() / 1000)
                 : absl::InfinitePast()});
  }
}

absl::StatusOr<std::vector<WorkerHoldRow>> Reader::ListWorkerHolds() const {
  Statement s = connection_.Prepare(
      "SELECT name, quarantined, reason, time_us FROM worker_hold ORDER BY "
      "name");
  std::vector<WorkerHoldRow> rows;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return rows;
    rows.push_back({.name = s.Text(0),
                    .quarantined = s.Int(1) != 0,
                    .reason = s.Text(2),
                    .time = s.Time(3)});
  }
}

absl::StatusOr<std::vector<v1::ArtifactRef>> Reader::ListArtifacts(
    JobId job, ArtifactKind kind) const {
  Statement s = connection_.Prepare(
      "SELECT name, digest, size_bytes FROM job_artifact WHERE job_id = ? AND "
      "kind = ? ORDER BY name");
  s.Bind(job.value, static_cast<int>(kind));
  std::vector<v1::ArtifactRef> refs;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return refs;
    refs.push_back(ReadArtifact(s, 0));
  }
}

absl::StatusOr<bool> Reader::IsArtifactUsed(const std::string& digest) const {
  Statement s = connection_.Prepare(
      "SELECT EXISTS(SELECT 1 FROM job_artifact WHERE digest = ?1) OR "
      "EXISTS(SELECT 1 FROM dataset WHERE digest = ?1) OR "
      "EXISTS(SELECT 1 FROM input WHERE digest = ?1) OR "
      "EXISTS(SELECT 1 FROM weights WHERE digest = ?1)");
  s.Bind(digest);
  FOLDFARM_ASSIGN_OR_RETURN(const bool found, s.Step());
  return found && s.Int(0) != 0;
}

absl::StatusOr<std::map<JobId, v1::ArtifactRef>> Reader::ListResults(
    SweepId sweep, const std::string& name) const {
  Statement s = connection_.Prepare(
      "SELECT j.id, r.name, r.digest, r.size_bytes FROM job j JOIN "
      "job_artifact r ON r.job_id = j.id WHERE j.sweep_id = ? AND j.state = 3 "
      "AND r.kind = 0 AND r.name = ?");
  s.Bind(sweep.value, name);
  std::map<JobId, v1::ArtifactRef> refs;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return refs;
    refs[{s.Int(0)}] = ReadArtifact(s, 1);
  }
}

absl::StatusOr<std::map<std::string, double>> Reader::ResultMetrics(
    JobId job) const {
  Statement s = connection_.Prepare(
      "SELECT coalesce(a.metrics, r.metrics) FROM job j LEFT JOIN attempt a ON "
      "a.token = j.token LEFT JOIN result r ON r.job_id = j.id WHERE j.id = ?");
  s.Bind(job.value);
  FOLDFARM_ASSIGN_OR_RETURN(const bool found, s.Step());
  v1::GetMetricsResponse metrics;
  if (found) {
    FOLDFARM_RETURN_IF_ERROR(ParseBlob(s.Bytes(0), "result", metrics));
  }
  return std::map<std::string, double>(metrics.result().begin(),
                                       metrics.result().end());
}

absl::StatusOr<std::vector<v1::EpochMetrics>> Reader::ListMetrics(
    JobId job, int after_epoch) const {
  Statement s = connection_.Prepare(
      "SELECT metrics FROM metric WHERE job_id = ? AND epoch > ? "
      "ORDER BY epoch");
  s.Bind(job.value, after_epoch);
  std::vector<v1::EpochMetrics> metrics;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return metrics;
    FOLDFARM_RETURN_IF_ERROR(
        ParseBlob(s.Bytes(0), "metric", metrics.emplace_back()));
  }
}

absl::StatusOr<std::vector<v1::LogLine>> Reader::ListLog(JobId job,
                                                         FencingToken token,
                                                         int64_t sequence,
                                                         int limit) const {
  Statement s = connection_.Prepare(
      "SELECT token, sequence, time_us, level, text FROM log_line WHERE "
      "job_id = ? AND (token, sequence) > (?, ?) ORDER BY token, sequence "
      "LIMIT ?");
  s.Bind(job.value, token.value, sequence, limit);
  std::vector<v1::LogLine> lines;
  while (true) {
    FOLDFARM_ASSIGN_OR_RETURN(const bool more, s.Step());
    if (!more) return lines;
    v1::LogLine& line = lines.emplace_back();
    line.set_token(s.Int(0));
    line.set_sequence(s.Int(1));
    SetTime(s.Time(2), line.mutable_time());
    line.set_level(s.Text(3));
    line.set_text(s.Text(4));
  }
}

}  // namespace foldfarm
