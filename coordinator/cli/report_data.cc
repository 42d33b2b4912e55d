#include "coordinator/cli/report_data.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/ensemble/scores.h"
#include "coordinator/cli/fetch_dataset.h"

namespace foldfarm {
namespace {

using Farm = v1::FarmService::StubInterface;

// With intervals and selections it takes a while.
constexpr absl::Duration kEnsembleTimeout = absl::Minutes(10);
// A running sweep's next model may come in between two calls.
constexpr int kTries = 5;

class Fetcher {
 public:
  Fetcher(FarmClient& client, Clock& clock, const ReportOptions& options)
      : client_(client), clock_(clock), options_(options) {}

  absl::StatusOr<ReportData> Fetch() {
    v1::GetSweepRequest sweep;
    sweep.set_sweep(options_.sweep);
    FOLDFARM_ASSIGN_OR_RETURN(data_.sweep,
                              client_.Call(&Farm::GetSweep, sweep));
    if (!data_.sweep.prediction().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(data_.sweep.id(), " predicts ", data_.sweep.prediction(),
                       "; expected a sweep that trains models"));
    }
    v1::GetDatasetRequest dataset;
    dataset.set_name(data_.sweep.dataset());
    FOLDFARM_ASSIGN_OR_RETURN(data_.dataset,
                              client_.Call(&Farm::GetDataset, dataset));
    FOLDFARM_RETURN_IF_ERROR(FetchScores());
    FOLDFARM_ASSIGN_OR_RETURN(
        data_.jobs,
        FetchJobRecords(client_, data_.sweep.id(), options_.cancelled));
    FOLDFARM_ASSIGN_OR_RETURN(v1::ListWorkersResponse workers,
                              client_.Call(&Farm::ListWorkers, {}));
    data_.workers.assign(workers.workers().begin(), workers.workers().end());
    data_.worst = WorstSamples(data_.oof, options_.worst);
    if (options_.spectra && !data_.worst.empty()) {
      const absl::Status status = FetchSpectra();
      if (absl::IsCancelled(status)) return status;
      if (!status.ok()) data_.spectra_missing = std::string(status.message());
    }
    // Counts as they are now, after all else.
    FOLDFARM_ASSIGN_OR_RETURN(data_.sweep,
                              client_.Call(&Farm::GetSweep, sweep));
    data_.made = clock_.Now();
    data_.version = FOLDFARM_VERSION;
    return std::move(data_);
  }

 private:
  absl::Status CheckCancelled() const {
    if (options_.cancelled && options_.cancelled()) {
      return absl::CancelledError("Stopped.");
    }
    return absl::OkStatus();
  }

  // The ensemble and its predictions, of the same models.
  absl::Status FetchScores() {
    v1::GetEnsembleRequest request;
    request.set_sweep(data_.sweep.id());
    request.set_full(true);
    for (int i = 0; i < kTries; ++i) {
      FOLDFARM_RETURN_IF_ERROR(CheckCancelled());
      FOLDFARM_ASSIGN_OR_RETURN(
          data_.ensemble,
          client_.Call(&Farm::GetEnsemble, request, kEnsembleTimeout));
      FOLDFARM_ASSIGN_OR_RETURN(data_.oof, FetchOof(client_, data_.sweep.id()));
      if (SameModels()) return absl::OkStatus();
    }
    return absl::UnavailableError(absl::StrCat(
        "models of ", data_.sweep.id(),
        " are being completed faster than they can be read; try again"));
  }

  bool SameModels() const {
    std::set<std::string> scored, predicted;
    for (const v1::ModelScores& model : data_.ensemble.models()) {
      scored.insert(model.model());
    }
    for (const OofModel& model : data_.oof.oof.models) {
      predicted.insert(model.name);
    }
    return scored == predicted;
  }

  absl::Status FetchSpectra() {
    FOLDFARM_ASSIGN_OR_RETURN(const std::string folder,
                              MakeTemporaryDirectory("foldfarm-report"));
    const absl::Cleanup remove = [&] { (void)RemoveRecursively(folder); };
    const std::string path = JoinPath(folder, "dataset.safetensors");
    FOLDFARM_RETURN_IF_ERROR(FetchDataset(client_, clock_, data_.dataset, path,
                                          options_.cancelled,
                                          options_.progress));
    FOLDFARM_ASSIGN_OR_RETURN(const auto dataset, PreparedDataset::Open(path));
    for (const WorstSample& sample : data_.worst) {
      FOLDFARM_ASSIGN_OR_RETURN(
          const int64_t index,
          dataset->IndexOf(data_.oof.oof.sample_ids[sample.row]));
      data_.spectra.push_back(SpectrumOf(*dataset, index));
    }
    return absl::OkStatus();
  }

  FarmClient& client_;
  Clock& clock_;
  const ReportOptions& options_;
  ReportData data_;
};

}  // namespace

std::vector<WorstSample> WorstSamples(const OofTable& table, size_t count) {
  std::vector<WorstSample> samples;
  if (table.ensemble.empty()) return samples;
  const size_t labels = table.oof.num_labels();
  const auto truth = absl::MakeConstSpan(table.oof.truth);
  const auto predicted = absl::MakeConstSpan(table.ensemble);
  for (size_t row = 0; row < table.oof.num_samples(); ++row) {
    const double loss = ShrunkLogLoss(truth.subspan(row * labels, labels),
                                      predicted.subspan(row * labels, labels));
    if (!std::isnan(loss)) samples.push_back({row, loss});
  }
  std::stable_sort(samples.begin(), samples.end(),
                   [](const WorstSample& a, const WorstSample& b) {
                     return a.log_loss > b.log_loss;
                   });
  if (samples.size() > count) samples.resize(count);
  return samples;
}

absl::StatusOr<ReportData> FetchReport(FarmClient& client, Clock& clock,
                                       const ReportOptions& options) {
  return Fetcher(client, clock, options).Fetch();
}

}  // namespace foldfarm
