// A sweep's predictions and metrics as files for other programs: CSV, NumPy's
// .npy, TensorBoard's event files.
//
// 1. FetchResults gets everything once, whatever the formats.
// 2. A Write function a format puts files into a folder, each whole or not at
//    all. Writing again replaces them; CheckReplaceable says beforehand
//    whether somebody else's would be.
#ifndef FOLDFARM_COORDINATOR_CLI_EXPORT_RESULTS_H_
#define FOLDFARM_COORDINATOR_CLI_EXPORT_RESULTS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/cli/farm_client.h"
#include "coordinator/cli/job_records.h"
#include "coordinator/cli/oof_table.h"

namespace foldfarm {

struct SweepResults {
  v1::Sweep sweep;
  std::vector<JobRecord> jobs;
  // Of complete models; their `draws` are there when they were asked for.
  OofTable oof;
  // Models that are not complete on all folds, hence not in `oof`.
  std::vector<std::string> incomplete;
  // Models in `oof` whose draws are left out, as folds have unequally many.
  std::vector<std::string> without_draws;
};

struct ResultOptions {
  std::string sweep;  // Id or name.
  std::string model;  // Empty: all.
  // Also the single draws of every prediction: a file a job is fetched.
  bool draws = false;
  // Asked in between; true ends with CANCELLED.
  std::function<bool()> cancelled;
  // Bytes of the draws' files.
  std::function<void(int64_t done, int64_t total)> progress;
};

// Errors: NOT_FOUND: no such sweep or model; CANCELLED; those of the calls.
// Thread-safe.
absl::StatusOr<SweepResults> FetchResults(FarmClient& client,
                                          const ResultOptions& options);

// Describes the arrays; index.json beside it belongs to the weights.
inline constexpr char kNpyIndexFile[] = "npy.json";

// Guards what a person has under the name of a file that an export writes.
//
// OK when each of `names` ("README.txt", "metrics.csv") is missing in
// `directory`, or begins as an export's file of that name does. A symbolic link
// is OK, too: it is replaced, not what it points at.
//
// Errors: FAILED_PRECONDITION naming the first other file; those of reading.
absl::Status CheckReplaceable(const std::string& directory,
                              const std::vector<std::string>& names);

// What was written.
struct WrittenFiles {
  int64_t files = 0;
  int64_t bytes = 0;

  // Writes DIRECTORY/NAME, making folders on the way.
  absl::Status Write(const std::string& directory, const std::string& name,
                     const std::string& data);
};

// oof.csv (as `foldfarm oof` writes it), oof_draws.csv (sample_id, model, draw,
// a column a label), metrics.csv (a line a job and epoch), results.csv (a line
// a job). The first two are left out when no model is complete.
absl::Status WriteCsv(const SweepResults& results, const std::string& directory,
                      WrittenFiles& written);

// oof_probabilities.npy [models, samples, labels], oof_ensemble.npy and
// oof_truth.npy [samples, labels], oof_folds.npy [samples],
// oof_draws/MODEL.npy [draws, samples, labels], metrics.npy [jobs, epochs,
// metrics], results.npy [jobs, metrics]; npy.json names what runs along each
// axis. NaN where there is no value.
absl::Status WriteNpy(const SweepResults& results, const std::string& directory,
                      WrittenFiles& written);

// MODEL/FOLD/events.out.tfevents.*: a run a job that has metrics, with scalars
// a step an epoch, the metrics of its result, and its options as text.
absl::Status WriteTensorBoard(const SweepResults& results,
                              const std::string& directory,
                              WrittenFiles& written);

// When each of the job's epochs ended, in order: from the start of the attempt
// that trained it, epoch by epoch as long as each took, and not after the
// attempt's end. Never runs backwards. Pure.
std::vector<absl::Time> EpochTimes(const JobRecord& job);

// The names of a job's metrics, the well-known first (metrics_table.h).
std::vector<std::string> MetricNames(const std::vector<JobRecord>& jobs);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_EXPORT_RESULTS_H_
