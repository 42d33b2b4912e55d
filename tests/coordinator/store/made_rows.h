// Rows that tests of the store begin with.
#ifndef FOLDFARM_TESTS_COORDINATOR_STORE_MADE_ROWS_H_
#define FOLDFARM_TESTS_COORDINATOR_STORE_MADE_ROWS_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/store/tx.h"

namespace foldfarm {

// Half a microsecond more than the tables keep.
inline const absl::Time kMadeTime =
    absl::FromUnixNanos(1'700'000'000'123'456'500);

// A dataset, a sweep and its jobs, all of them pending.
absl::StatusOr<std::vector<JobId>> AddJobs(Tx& tx, int count);

// What a grant writes of a new attempt.
AttemptRow NewAttempt(const JobRow& job);

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COORDINATOR_STORE_MADE_ROWS_H_
