// The competition's submission file: sample_id and a probability a label.
//
// Pure but for ReadSubmissionFormat; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_SUBMISSION_H_
#define FOLDFARM_COORDINATOR_CLI_SUBMISSION_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace foldfarm {

// The rows and columns that a submission must have, as submission_format.csv
// says.
struct SubmissionFormat {
  std::string path;
  // Columns behind sample_id, in order.
  std::vector<std::string> labels;
  std::vector<std::string> sample_ids;
};

// Reads the columns and the ids; the numbers in it do not matter.
// Errors: NOT_FOUND; INVALID_ARGUMENT "FILE:LINE: ..." for an id that comes
// twice and for what is no such table.
absl::StatusOr<SubmissionFormat> ReadSubmissionFormat(const std::string& path);

struct PredictedSample {
  std::string id;
  std::string instrument_type;
  // By label, not shrunk; NaN: no model predicts it.
  std::vector<double> probability;
};

struct Submission {
  // Header and rows, probabilities shrunk by instrument, 6 decimals.
  std::string csv;
  int rows = 0;
  // Ids of the format without a prediction, in its order: they have no row, or
  // one of the prior.
  std::vector<std::string> unpredicted;
  // Ids that were predicted but that the format does not ask for.
  std::vector<std::string> unasked;
};

// Rows and columns in the order of `format`; without one, in that of `samples`
// and `labels`. With `prior`, each label's prevalence, rows without a
// prediction hold it, shrunk as a commercial sample's, and so do labels that no
// model predicts; else such rows are left out.
//
// Errors: INVALID_ARGUMENT when the format has other labels;
// FAILED_PRECONDITION when no model predicts a label and there is no `prior`,
// as a submission has no empty cells.
absl::StatusOr<Submission> MakeSubmission(
    absl::Span<const std::string> labels,
    absl::Span<const PredictedSample> samples, const SubmissionFormat* format,
    absl::Span<const double> prior);

// Where a submission of `draws` goes when several are written:
// "submission.csv" becomes "submission.tta4.csv".
std::string PathOfDraws(const std::string& path, int draws);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_SUBMISSION_H_
