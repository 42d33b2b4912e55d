// Reads metadata.csv and the label files: which samples there are.
//
// Immutable once read.
#ifndef FOLDFARM_COMMON_SPECTRA_SAMPLE_TABLE_H_
#define FOLDFARM_COMMON_SPECTRA_SAMPLE_TABLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace foldfarm {

inline constexpr char kCommercial[] = "commercial";
inline constexpr char kSamTestbed[] = "sam_testbed";

// One row of metadata.csv with its labels.
struct SampleRow {
  std::string id;
  std::string split;            // train, val or test.
  std::string instrument_type;  // kCommercial or kSamTestbed.
  std::string features_path;    // Relative to the folder.
  std::string md5;              // Lower-case hex; empty: not to be checked.
  int64_t line = 0;             // In metadata.csv.
  bool labelled = false;
  std::vector<uint8_t> labels;  // 0 or 1; zeros when not labelled.
};

struct SampleTable {
  std::vector<std::string> labels;  // Names, in the label files' order.
  std::vector<SampleRow> samples;   // In metadata.csv's order.
  bool has_label_files = false;
};

// Reads a metadata.csv alone: its samples without labels. Errors: as below.
absl::StatusOr<std::vector<SampleRow>> ReadMetadataFile(
    const std::string& path);

// Reads DIRECTORY/metadata.csv and every DIRECTORY/*_labels.csv. A train sample
// without a label row is allowed; it is not labelled. Where there is no label
// file at all, `labels` are the names and no sample is labelled.
//
// Errors: NOT_FOUND when metadata.csv is absent, or all label files are and
// `labels` is empty;
// INVALID_ARGUMENT "FILE:LINE: got, expected" for a missing column, an empty,
// repeated or unknown id, an unknown split or instrument, a features_path
// outside the folder, a hash that is no MD5, a label other than 0 and 1, a
// label's name that is not UTF-8, label files whose columns differ.
absl::StatusOr<SampleTable> ReadSampleTable(
    const std::string& directory, const std::vector<std::string>& labels = {});

// The files that ReadSampleTable reads in the folder, and the features files
// that metadata.csv names, there or not: paths relative to the folder, sorted,
// each once. Errors: as above for metadata.csv.
absl::StatusOr<std::vector<std::string>> ListDatasetFiles(
    const std::string& directory);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_SAMPLE_TABLE_H_
