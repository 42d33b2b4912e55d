// Limits of what workers say in words and numbers, so that one of them cannot
// fill the database or make replies to people larger than a message may be.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_QUEUE_REPORT_LIMITS_H_
#define FOLDFARM_COORDINATOR_QUEUE_REPORT_LIMITS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "foldfarm/v1/worker.pb.h"

namespace foldfarm {

// Cuts a report's texts: device, log lines and their levels. Times outside of
// the years 1970 to 9999 become the nearest inside.
void ClipReport(v1::ReportProgressRequest& request);

// Cuts the error and the last log lines, and keeps the last 200 of these.
void ClipFinish(v1::FinishAttemptRequest& request);

// Checks the number of an epoch: 1 to `epochs` (0: no end). `what` is of it.
// Errors: INVALID_ARGUMENT.
absl::Status CheckEpoch(absl::string_view what, int epoch, int epochs);

// The same, and that its metrics are at most 256 with names of at most 128
// bytes.
absl::Status CheckMetrics(const v1::EpochMetrics& metrics, int epochs);

// Checks the lengths of what a worker says of itself.
// Errors: INVALID_ARGUMENT.
absl::Status CheckWorkerTexts(const v1::RegisterRequest& request);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_REPORT_LIMITS_H_
