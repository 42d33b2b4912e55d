// Every question that is put to the database.
//
// A Reader wraps one connection and is used by one thread at a time. Outside a
// transaction every call sees the newest commit.
#ifndef FOLDFARM_COORDINATOR_STORE_READER_H_
#define FOLDFARM_COORDINATOR_STORE_READER_H_

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/store/rows.h"
#include "coordinator/store/sqlite.h"

namespace foldfarm {

class Reader {
 public:
  explicit Reader(Connection& connection) : connection_(connection) {}

  // Nothing there is no error: an empty optional.
  absl::StatusOr<std::optional<DatasetRow>> FindDataset(
      const std::string& name) const;
  absl::StatusOr<std::vector<DatasetRow>> ListDatasets() const;

  absl::StatusOr<std::optional<v1::Weights>> FindWeights(
      const std::string& name) const;
  // By name.
  absl::StatusOr<std::vector<v1::Weights>> ListWeights() const;

  absl::StatusOr<std::optional<SweepRow>> FindSweep(SweepId id) const;
  absl::StatusOr<std::optional<SweepRow>> FindSweepByRequest(
      const std::string& request_id) const;
  absl::StatusOr<std::vector<SweepId>> FindSweepsByName(
      const std::string& name) const;
  // Newest first.
  absl::StatusOr<std::vector<SweepRow>> ListSweeps() const;
  absl::StatusOr<SweepCounts> CountJobs(SweepId id) const;
  // The same of all sweeps together.
  absl::StatusOr<SweepCounts> CountAllJobs() const;
  // Sample lists by fold: AttemptSpec with only those set.
  absl::StatusOr<std::vector<v1::AttemptSpec>> ListFolds(SweepId id) const;
  // By model and name.
  absl::StatusOr<std::vector<InputRow>> ListInputs(SweepId id) const;

  absl::StatusOr<std::optional<JobRow>> FindJob(JobId id) const;
  absl::StatusOr<std::optional<JobRow>> FindJob(SweepId sweep,
                                                const std::string& model,
                                                int fold) const;
  // A succeeded job with this key.
  absl::StatusOr<std::optional<JobRow>> FindResult(
      const std::string& result_key) const;
  // The job with this key that has trained longest without an end: not
  // succeeded, nor failed, which may be its checkpoint's fault.
  absl::StatusOr<std::optional<JobRow>> FindBegun(
      const std::string& result_key) const;
  // In the sweep's order; only those whose `change` is greater.
  absl::StatusOr<std::vector<JobRow>> ListJobs(SweepId sweep,
                                               int64_t after_change = 0) const;
  // PENDING and RUNNING jobs of all sweeps.
  absl::StatusOr<std::vector<JobRow>> ListOpenJobs() const;
  // Of the sweep's succeeded jobs: a number that grows with the time at which
  // the result was made, here or in the sweep that it was taken over from.
  absl::StatusOr<std::map<JobId, int64_t>> ListCompletions(SweepId sweep) const;
  // The greatest `change` of all jobs.
  absl::StatusOr<int64_t> LastChange() const;

  absl::StatusOr<std::optional<AttemptRow>> FindAttempt(
      FencingToken token) const;
  // Oldest first.
  absl::StatusOr<std::vector<AttemptRow>> ListAttempts(JobId job) const;
  // Seconds that all attempts of each of the sweep's models ran, by model.
  absl::StatusOr<std::map<std::string, double>> SecondsByModel(
      SweepId sweep) const;

  absl::StatusOr<std::vector<WorkerRow>> ListWorkers() const;
  absl::StatusOr<std::vector<WorkerHoldRow>> ListWorkerHolds() const;

  absl::StatusOr<std::vector<v1::ArtifactRef>> ListArtifacts(
      JobId job, ArtifactKind kind) const;
  // Whether a job, its checkpoint or inputs, a dataset or weights name it.
  absl::StatusOr<bool> IsArtifactUsed(const std::string& digest) const;
  // Digests of one named result of every succeeded job of a sweep, by job.
  absl::StatusOr<std::map<JobId, v1::ArtifactRef>> ListResults(
      SweepId sweep, const std::string& name) const;
  // Of the newest attempt's result, or of the one that was taken over.
  absl::StatusOr<std::map<std::string, double>> ResultMetrics(JobId job) const;
  // By epoch; only those after `after_epoch`.
  absl::StatusOr<std::vector<v1::EpochMetrics>> ListMetrics(
      JobId job, int after_epoch = 0) const;
  // Lines after (token, sequence), at most `limit`; LogLine.sequence is the
  // one within the attempt.
  absl::StatusOr<std::vector<v1::LogLine>> ListLog(JobId job,
                                                   FencingToken token,
                                                   int64_t sequence,
                                                   int limit) const;

 private:
  // From rows of state, number of jobs and the newest end.
  static absl::StatusOr<SweepCounts> ReadCounts(Statement& s);

 protected:
  Connection& connection_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_STORE_READER_H_
