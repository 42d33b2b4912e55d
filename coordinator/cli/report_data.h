// All that a report is made of, fetched from the farm.
//
// Plain values; FetchReport is thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_REPORT_DATA_H_
#define FOLDFARM_COORDINATOR_CLI_REPORT_DATA_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "coordinator/cli/farm_client.h"
#include "coordinator/cli/job_records.h"
#include "coordinator/cli/oof_table.h"
#include "coordinator/cli/report_spectra.h"
#include "foldfarm/v1/farm.pb.h"

namespace foldfarm {

// A sample and how wrong the ensemble is about it.
struct WorstSample {
  size_t row = 0;  // In the OOF table.
  // Mean over its labels, shrunk by 0.002: the mean of this over all samples is
  // the ensemble's log loss.
  double log_loss = 0;
};

struct ReportData {
  v1::Sweep sweep;
  v1::Dataset dataset;
  v1::GetEnsembleResponse ensemble;
  OofTable oof;
  // In the sweep's order.
  std::vector<JobRecord> jobs;
  std::vector<v1::Worker> workers;
  std::vector<WorstSample> worst;
  // Of `worst`, as far as they are known.
  std::vector<SampleSpectrum> spectra;
  // Why spectra are not there; "" when they are, or nobody wanted them.
  std::string spectra_missing;
  absl::Time made;
  // Of this program.
  std::string version;

  // Some jobs are not final yet.
  bool preliminary() const { return sweep.pending() + sweep.running() > 0; }
};

struct ReportOptions {
  std::string sweep;  // Id or name.
  // So many of the worst samples are shown.
  int worst = 12;
  bool spectra = true;
  // Asked in between; true ends with CANCELLED.
  std::function<bool()> cancelled;
  // Of the dataset, fetched for the spectra.
  std::function<void(int64_t done, int64_t total)> progress;
};

// Fetches everything. A sweep of which no model is complete has no scores; that
// is no error.
//
// Errors: NOT_FOUND: no such sweep; INVALID_ARGUMENT: it predicts and trains
// nothing; CANCELLED; those of the calls. A dataset that cannot be fetched only
// costs the spectra.
absl::StatusOr<ReportData> FetchReport(FarmClient& client, Clock& clock,
                                       const ReportOptions& options);

// The `count` samples with the largest log loss, largest first.
std::vector<WorstSample> WorstSamples(const OofTable& table, size_t count);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_REPORT_DATA_H_
