// Rows as the messages that people see, and the names by which people call
// them.
#ifndef FOLDFARM_COORDINATOR_SERVICE_FARM_VIEW_H_
#define FOLDFARM_COORDINATOR_SERVICE_FARM_VIEW_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/queue/job_queue.h"
#include "coordinator/store/reader.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// Resolves "s3", or a sweep's name if only one sweep has it.
// Errors: NOT_FOUND naming near misses; INVALID_ARGUMENT naming the ids when
// several sweeps have the name.
absl::StatusOr<SweepRow> ResolveSweep(const Reader& reader,
                                      const std::string& name);

// Whether a sweep trains, so that it has out-of-fold predictions.
// Errors: FAILED_PRECONDITION with what to ask instead when it predicts.
absl::Status CheckTrains(const SweepRow& sweep);

// Resolves SWEEP/MODEL/FOLD. Errors: as ResolveSweep; INVALID_ARGUMENT when the
// name has another form.
absl::StatusOr<JobRow> ResolveJob(const Reader& reader,
                                  const std::string& name);

// Whose epochs, log and predictions are the job's: another's when its result
// was taken over.
inline JobId TrainedJob(const JobRow& row) {
  return row.reused_from.value != 0 ? row.reused_from : row.id;
}

v1::Sweep ToSweep(const SweepRow& row, const SweepCounts& counts,
                  bool with_spec);

// `reused_from` is the name of the job that the row's reused_from points at.
v1::Job ToJob(const JobRow& row, int priority, const std::string& reused_from);

// The same, looking that name up.
absl::StatusOr<v1::Job> ViewJob(const Reader& reader, const JobRow& row,
                                int priority);

// `lease` is newer than the row and wins.
v1::Attempt ToAttempt(const AttemptRow& row,
                      const std::optional<HeldLease>& lease);

// Workers and what they run. A worker that was not heard of for a
// lease's length is OFFLINE.
std::vector<v1::Worker> ViewWorkers(const JobQueue& queue, absl::Time now);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_SERVICE_FARM_VIEW_H_
