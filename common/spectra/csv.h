// What the CSV readers share: lines, cells and how messages quote them.
#ifndef FOLDFARM_COMMON_SPECTRA_CSV_H_
#define FOLDFARM_COMMON_SPECTRA_CSV_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace foldfarm {

// `text` in quotes, cut to a length that suits a message, unprintable bytes
// escaped.
std::string QuoteForMessage(absl::string_view text);

// INVALID_ARGUMENT "FILE:LINE: what".
absl::Status BadLine(absl::string_view file, int64_t line,
                     absl::string_view what);

// Removes a UTF-8 byte order mark.
absl::string_view SkipByteOrderMark(absl::string_view text);

// INVALID_ARGUMENT when `text` is empty, an archive or otherwise binary.
absl::Status CheckIsText(absl::string_view text, absl::string_view file);

// Splits a line, without its end, at commas. A cell may be quoted, a quote in
// it doubled. Spaces around a cell are dropped.
std::vector<std::string> SplitCsvLine(absl::string_view line);

// A small table whose first line names the columns.
struct CsvTable {
  struct Row {
    int64_t line = 0;  // From 1; the header is line 1.
    std::vector<std::string> cells;
  };
  std::vector<std::string> columns;
  std::vector<Row> rows;
};

// Parses `text`; LF and CRLF end lines, empty ones are skipped. Errors:
// INVALID_ARGUMENT "FILE:LINE: ..." for a column named twice and a row that has
// more or fewer cells than the header; those of CheckIsText.
absl::StatusOr<CsvTable> ParseCsvTable(absl::string_view text,
                                       absl::string_view file);

// The position of column `name`. Errors: INVALID_ARGUMENT "FILE:1: ...", with
// the columns that there are.
absl::StatusOr<size_t> FindColumn(const std::vector<std::string>& columns,
                                  absl::string_view name,
                                  absl::string_view file);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_CSV_H_
