#include "common/spectra/csv.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace foldfarm {

std::string QuoteForMessage(absl::string_view text) {
  constexpr size_t kShown = 60;
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(text.substr(0, kShown)),
                      text.size() > kShown ? "..." : "", "\"");
}

absl::Status BadLine(absl::string_view file, int64_t line,
                     absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ":", line, ": ", what));
}

absl::string_view SkipByteOrderMark(absl::string_view text) {
  return absl::StartsWith(text, "\xEF\xBB\xBF") ? text.substr(3) : text;
}

absl::Status CheckIsText(absl::string_view text, absl::string_view file) {
  constexpr size_t kLookedAt = 4096;
  if (absl::StripAsciiWhitespace(text.substr(0, kLookedAt)).empty()) {
    return BadLine(file, 1, "the file is empty, expected CSV text");
  }
  if (absl::StartsWith(text, "PK\x03\x04")) {
    return BadLine(file, 1,
                   "this is a zip archive, expected CSV text; unpack it first");
  }
  if (absl::StartsWith(text, "\x1F\x8B")) {
    return BadLine(file, 1,
                   "this is gzip data, expected CSV text; unpack it first");
  }
  const absl::string_view head = text.substr(0, kLookedAt);
  if (absl::StartsWith(text, "\xFF\xFE") ||
      absl::StartsWith(text, "\xFE\xFF")) {
    return BadLine(file, 1, "this is UTF-16, expected UTF-8 text");
  }
  if (std::find(head.begin(), head.end(), '\0') != head.end()) {
    return BadLine(file, 1, "this is binary data, expected CSV text");
  }
  return absl::OkStatus();
}

std::vector<std::string> SplitCsvLine(absl::string_view line) {
  std::vector<std::string> cells;
  size_t at = 0;
  while (true) {
    std::string cell;
    while (at < line.size() && line[at] == ' ') ++at;
    if (at < line.size() && line[at] == '"') {
      for (++at; at < line.size(); ++at) {
        if (line[at] == '"') {
          if (at + 1 >= line.size() || line[at + 1] != '"') break;
          ++at;
        }
        cell += line[at];
      }
      ++at;
    }
    const size_t comma =
        std::min(line.find(',', std::min(at, line.size())), line.size());
    if (at < comma) {
      absl::StrAppend(&cell, absl::StripTrailingAsciiWhitespace(
                                 line.substr(at, comma - at)));
    }
    cells.push_back(std::move(cell));
    if (comma == line.size()) return cells;
    at = comma + 1;
  }
}

absl::StatusOr<CsvTable> ParseCsvTable(absl::string_view text,
                                       absl::string_view file) {
  FOLDFARM_RETURN_IF_ERROR(CheckIsText(text, file));
  text = SkipByteOrderMark(text);
  CsvTable table;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    absl::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (absl::EndsWith(line, "\r")) line.remove_suffix(1);
    if (absl::StripAsciiWhitespace(line).empty()) continue;
    std::vector<std::string> cells = SplitCsvLine(line);
    if (table.columns.empty()) {
      std::set<std::string> seen;
      for (const std::string& name : cells) {
        if (!seen.insert(name).second) {
          return BadLine(
              file, number,
              absl::StrCat("column ", QuoteForMessage(name), " twice"));
        }
      }
      table.columns = std::move(cells);
      continue;
    }
    if (cells.size() != table.columns.size()) {
      return BadLine(
          file, number,
          absl::StrCat(cells.size(), " cells, expected ", table.columns.size(),
                       " (", absl::StrJoin(table.columns, ","), ")"));
    }
    table.rows.push_back({number, std::move(cells)});
  }
  return table;
}

absl::StatusOr<size_t> FindColumn(const std::vector<std::string>& columns,
                                  absl::string_view name,
                                  absl::string_view file) {
  const auto it =
      std::find_if(columns.begin(), columns.end(),
                   [&](const std::string& column) { return column == name; });
  if (it == columns.end()) {
    return BadLine(file, 1,
                   absl::StrCat("no column \"", name, "\", got ",
                                QuoteForMessage(absl::StrJoin(columns, ","))));
  }
  return static_cast<size_t>(it - columns.begin());
}

}  // namespace foldfarm
