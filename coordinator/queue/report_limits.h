// Limits of what workers say in words and numbers, so that one of them cannot
// fill the database, make replies to people larger than a message may be, or
// speak to the terminals where people read it: texts become as MakeClean()
// leaves them. The daemon cleans its own; a token's holder need not run it.
//
// Thread-safe.
#ifndef FOLDFARM_COORDINATOR_QUEUE_REPORT_LIMITS_H_
#define FOLDFARM_COORDINATOR_QUEUE_REPORT_LIMITS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "foldfarm/v1/worker.pb.h"

namespace foldfarm {

// Of why an attempt failed.
inline constexpr size_t kMaxError = 4096;
// Of why a worker gets no leases.
inline constexpr size_t kMaxReason = 500;

// Cleans and cuts a report's texts: device, log lines and their levels. Cleans
// names of metrics. Times outside of the years 1970 to 9999 become the nearest
// inside.
void ClipReport(v1::ReportProgressRequest& request);

// Cleans and cuts the error and the last log lines, and keeps the last 200 of
// these. Cleans names of metrics.
void ClipFinish(v1::FinishAttemptRequest& request);

// Cleans and cuts the fault.
void ClipHeartbeat(v1::HeartbeatRequest& request);

// Cleans what a worker says of itself; CheckWorkerTexts() checks lengths.
void CleanRegister(v1::RegisterRequest& request);

// Checks that no number of an epoch is negative: they are counted from 1; 0
// stands for none. Errors: INVALID_ARGUMENT naming the field.
absl::Status CheckEpochs(const v1::ReportProgressRequest& request);

// Of a job whose number of epochs nobody knows for sure; each is a row.
inline constexpr int kMaxEpochs = 1'000'000;

// Checks the number of an epoch: 1 to `epochs`. `what` is of it.
// Errors: INVALID_ARGUMENT.
absl::Status CheckEpoch(absl::string_view what, int epoch, int epochs);

// The same, and that its metrics are at most 256 with names of at most 128
// bytes.
absl::Status CheckMetrics(const v1::EpochMetrics& metrics, int epochs);

// Checks the metrics of a whole attempt: as many as of an epoch, with names as
// long. Errors: INVALID_ARGUMENT.
absl::Status CheckMetrics(const v1::FinishAttemptRequest& request);

// Checks the lengths of what a worker says of itself.
// Errors: INVALID_ARGUMENT.
absl::Status CheckWorkerTexts(const v1::RegisterRequest& request);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_QUEUE_REPORT_LIMITS_H_
