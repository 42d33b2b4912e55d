// Reads the readings of one sample: time, temp, m/z, abundance; one row an ion
// reading.
//
// One pass over 30,000 to 140,000 rows; a field that repeats the row before is
// not converted again. Thread-safe.
#ifndef FOLDFARM_COMMON_SPECTRA_FEATURES_CSV_H_
#define FOLDFARM_COMMON_SPECTRA_FEATURES_CSV_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// The columns, equally long, in the file's order.
struct Readings {
  std::vector<double> time;         // Seconds; never falls.
  std::vector<double> temperature;  // Degrees Celsius.
  std::vector<double> mz;           // May be fractional.
  std::vector<double> abundance;    // Of any unit; may be negative.

  size_t size() const { return time.size(); }
};

// Parses a features file's text. Columns may come in any order, others are
// ignored; lines end in LF or CRLF; a UTF-8 byte order mark is skipped.
//
// Errors: INVALID_ARGUMENT "FILE:LINE: got, expected" for a missing column, a
// missing, non-numeric or non-finite field, a time that falls, no rows, an
// empty file and binary data.
absl::StatusOr<Readings> ParseFeatures(absl::string_view text,
                                       absl::string_view file);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_FEATURES_CSV_H_
