#include "common/spectra/sample_table.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/base/utf8.h"
#include "common/spectra/csv.h"

namespace foldfarm {
namespace {

constexpr char kMetadataFile[] = "metadata.csv";

// A sample's id is a key and part of messages: one word.
bool IsValidId(absl::string_view id) {
  return !id.empty() && id.size() <= 100 &&
         std::all_of(id.begin(), id.end(),
                     [](char c) { return absl::ascii_isgraph(c); });
}

bool StaysInside(absl::string_view path) {
  if (path.empty() || path[0] == '/') return false;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "..") return false;
  }
  return path.find('\0') == absl::string_view::npos;
}

bool IsMd5(absl::string_view text) {
  return text.size() == 32 && std::all_of(text.begin(), text.end(), [](char c) {
           return absl::ascii_isxdigit(c);
         });
}

absl::Status BadCell(absl::string_view file, int64_t line,
                     absl::string_view column, absl::string_view got,
                     absl::string_view expected) {
  return BadLine(file, line,
                 absl::StrCat(column, " is ", QuoteForMessage(got),
                              ", expected ", expected));
}

// Names of labels go into JSON, where bytes that are not UTF-8 would change:
// two names could become one.
absl::Status CheckLabelNames(const std::string& path,
                             const std::vector<std::string>& columns) {
  constexpr size_t kShown = 60;
  for (size_t c = 0; c < columns.size(); ++c) {
    if (IsUtf8(columns[c])) continue;
    return BadLine(
        path, 1,
        absl::StrCat("column ", c + 1, " is called \"",
                     absl::CHexEscape(columns[c].substr(0, kShown)),
                     "\", expected UTF-8 text; save the file as UTF-8"));
  }
  return absl::OkStatus();
}

absl::StatusOr<CsvTable> ReadTable(const std::string& path) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  return ParseCsvTable(text, path);
}

using IndexOfId = std::map<std::string, size_t>;

absl::StatusOr<std::vector<SampleRow>> ReadMetadata(const std::string& path,
                                                    IndexOfId* index) {
  FOLDFARM_ASSIGN_OR_RETURN(const CsvTable table, ReadTable(path));
  const auto column = [&](const char* name) {
    return FindColumn(table.columns, name, path);
  };
  FOLDFARM_ASSIGN_OR_RETURN(const size_t id, column("sample_id"));
  FOLDFARM_ASSIGN_OR_RETURN(const size_t split, column("split"));
  FOLDFARM_ASSIGN_OR_RETURN(const size_t instrument, column("instrument_type"));
  FOLDFARM_ASSIGN_OR_RETURN(const size_t features, column("features_path"));
  FOLDFARM_ASSIGN_OR_RETURN(const size_t md5, column("features_md5_hash"));
  std::vector<SampleRow> samples;
  for (const CsvTable::Row& row : table.rows) {
    SampleRow sample;
    sample.line = row.line;
    sample.id = row.cells[id];
    sample.split = row.cells[split];
    sample.instrument_type = row.cells[instrument];
    sample.features_path = row.cells[features];
    sample.md5 = absl::AsciiStrToLower(row.cells[md5]);
    if (!IsValidId(sample.id)) {
      return BadCell(path, row.line, "sample_id", sample.id,
                     "1 to 100 printable characters without spaces");
    }
    if (sample.split != "train" && sample.split != "val" &&
        sample.split != "test") {
      return BadCell(path, row.line, "split", sample.split,
                     "train, val or test");
    }
    if (sample.instrument_type != kCommercial &&
        sample.instrument_type != kSamTestbed) {
      return BadCell(path, row.line, "instrument_type", sample.instrument_type,
                     "commercial or sam_testbed");
    }
    if (!StaysInside(sample.features_path)) {
      return BadCell(path, row.line, "features_path", sample.features_path,
                     "a path relative to this folder and inside it");
    }
    if (!sample.md5.empty() && !IsMd5(sample.md5)) {
      return BadCell(path, row.line, "features_md5_hash", sample.md5,
                     "32 hexadecimal digits or nothing");
    }
    const auto [it, is_new] = index->emplace(sample.id, samples.size());
    if (!is_new) {
      return BadLine(
          path, row.line,
          absl::StrCat("sample_id ", sample.id, " again, it is in line ",
                       samples[it->second].line, " already"));
    }
    samples.push_back(std::move(sample));
  }
  if (samples.empty()) return BadLine(path, 1, "no samples follow the header");
  return samples;
}

absl::Status ReadLabels(const std::string& path, const IndexOfId& index,
                        SampleTable* table) {
  FOLDFARM_ASSIGN_OR_RETURN(const CsvTable csv, ReadTable(path));
  FOLDFARM_ASSIGN_OR_RETURN(const size_t id,
                            FindColumn(csv.columns, "sample_id", path));
  FOLDFARM_RETURN_IF_ERROR(CheckLabelNames(path, csv.columns));
  std::vector<std::string> names = csv.columns;
  names.erase(names.begin() + static_cast<ptrdiff_t>(id));
  if (names.empty()) {
    return BadLine(path, 1, "no label columns beside sample_id");
  }
  if (table->labels.empty()) table->labels = names;
  if (table->labels != names) {
    return BadLine(path, 1,
                   absl::StrCat("labels are ", absl::StrJoin(names, ","),
                                ", expected those of the other label files, ",
                                absl::StrJoin(table->labels, ",")));
  }
  for (const CsvTable::Row& row : csv.rows) {
    const auto it = index.find(row.cells[id]);
    if (it == index.end()) {
      return BadCell(path, row.line, "sample_id", row.cells[id],
                     "an id of metadata.csv");
    }
    SampleRow& sample = table->samples[it->second];
    if (sample.labelled) {
      return BadLine(path, row.line,
                     absl::StrCat("sample_id ", sample.id,
                                  " again, it has labels already"));
    }
    sample.labelled = true;
    for (size_t c = 0; c < row.cells.size(); ++c) {
      if (c == id) continue;
      const std::string& cell = row.cells[c];
      if (cell != "0" && cell != "1") {
        return BadCell(path, row.line, csv.columns[c], cell, "0 or 1");
      }
      sample.labels.push_back(cell == "1" ? 1 : 0);
    }
  }
  return absl::OkStatus();
}

// Names of the label files in a folder, sorted.
absl::StatusOr<std::vector<std::string>> ListLabelFiles(
    const std::string& directory) {
  FOLDFARM_ASSIGN_OR_RETURN(std::vector<std::string> names,
                            ListDirectory(directory));
  names.erase(std::remove_if(names.begin(), names.end(),
                             [](const std::string& name) {
                               return !absl::EndsWith(name, "_labels.csv");
                             }),
              names.end());
  return names;
}

}  // namespace

absl::StatusOr<std::vector<SampleRow>> ReadMetadataFile(
    const std::string& path) {
  IndexOfId index;
  return ReadMetadata(path, &index);
}

absl::StatusOr<SampleTable> ReadSampleTable(
    const std::string& directory, const std::vector<std::string>& labels) {
  SampleTable table;
  IndexOfId index;
  FOLDFARM_ASSIGN_OR_RETURN(
      table.samples, ReadMetadata(JoinPath(directory, kMetadataFile), &index));
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                            ListLabelFiles(directory));
  for (const std::string& name : names) {
    FOLDFARM_RETURN_IF_ERROR(
        ReadLabels(JoinPath(directory, name), index, &table));
  }
  table.has_label_files = !names.empty();
  if (table.labels.empty()) table.labels = labels;
  if (table.labels.empty()) {
    return absl::NotFoundError(
        absl::StrCat(directory, ": no label file, expected train_labels.csv"));
  }
  for (SampleRow& sample : table.samples) {
    sample.labels.resize(table.labels.size(), 0);
  }
  return table;
}

absl::StatusOr<std::vector<std::string>> ListDatasetFiles(
    const std::string& directory) {
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::vector<SampleRow> samples,
      ReadMetadataFile(JoinPath(directory, kMetadataFile)));
  FOLDFARM_ASSIGN_OR_RETURN(std::vector<std::string> files,
                            ListLabelFiles(directory));
  files.push_back(kMetadataFile);
  for (const SampleRow& sample : samples) files.push_back(sample.features_path);
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

}  // namespace foldfarm
