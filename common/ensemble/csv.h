// CSV texts of predictions: the out-of-fold table and the submission.
//
// A line at a time, so that a caller can stream them. Lines end in "\n"; cells
// with a comma, a quote or a line break are quoted (RFC 4180); probabilities
// have six decimals.
#ifndef FOLDFARM_COMMON_ENSEMBLE_CSV_H_
#define FOLDFARM_COMMON_ENSEMBLE_CSV_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace foldfarm {

// One cell, quoted where needed.
std::string CsvCell(absl::string_view text);

// sample_id, fold, instrument_type, truth:LABEL for each label,
// ensemble:LABEL for each label, then MODEL:LABEL, model by model. No model
// name has a colon, so the last colon splits a column's name.
std::string OofCsvHeader(absl::Span<const std::string> labels,
                         absl::Span<const std::string> models);

// A line under that header. `model_probability` is [models, labels], row-major.
// Truth that is a whole number is written as one; a probability of NaN, which
// nobody gave, is an empty cell.
std::string OofCsvRow(absl::string_view sample_id, int fold,
                      absl::string_view instrument_type,
                      absl::Span<const double> truth,
                      absl::Span<const double> probability,
                      absl::Span<const double> model_probability);

// sample_id, then a column a label: the competition's submission format.
std::string SubmissionCsvHeader(absl::Span<const std::string> labels);

// A line under that header, with the probabilities shrunk for the instrument.
std::string SubmissionCsvRow(absl::string_view sample_id,
                             absl::string_view instrument_type,
                             absl::Span<const double> probability);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_CSV_H_
