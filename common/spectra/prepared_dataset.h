// A prepared dataset: every sample's scans, baseline and offsets, ready to be
// drawn as images. Made once by `foldfarm dataset import`, read by every
// trainer; one safetensors file.
//
// Metadata (strings):
//   format          "foldfarm-prepared"
//   format_version  "1"
//   labels          JSON array of label names, each once
//   samples         JSON array, one object a sample:
//                   {"id": "S0000", "split": "train",
//                    "instrument_type": "commercial", "labelled": true}
// Tensors (n samples, s scans of all samples, L labels, 100 m/z):
//   scan_offset       I64 [n + 1]      sample i owns scans offset[i] up to,
//                                      not including, offset[i + 1]
//   temperature       F64 [s]          degrees C, in the order of measurement
//   abundance         F32 [s, 100]     share of the sample's maximum;
//                                      NaN: no reading
//   baseline          F32 [s, 100]     asPLS baseline; NaN where abundance is
//   offsets           F32 [n, 100, 4]  quantiles 0.1, 5, 10, 20 % of abundance;
//                                      NaN: m/z absent
//   offsets_baseline  F32 [n, 100, 4]  the same of abundance - baseline
//   labels            U8  [n, L]       0 or 1; 0 for samples without labels
//
// Immutable and thread-safe. No protobuf here: the trainer reads it.
#ifndef FOLDFARM_COMMON_SPECTRA_PREPARED_DATASET_H_
#define FOLDFARM_COMMON_SPECTRA_PREPARED_DATASET_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/tensorfile/tensorfile.h"

namespace foldfarm {

// m/z rows of every image.
inline constexpr int kNumMz = 100;
// Offsets a m/z.
inline constexpr int kNumOffsets = 4;

// What is known of a sample without its readings.
struct SampleInfo {
  std::string id;
  std::string split;
  std::string instrument_type;
  bool labelled = false;
};

// The part of a prepared dataset that is read without its tensors.
struct DatasetHeader {
  std::vector<std::string> labels;
  std::vector<SampleInfo> samples;
};

// From a file's metadata. Errors: INVALID_ARGUMENT for another format,
// malformed JSON, and a label or a sample's id that is there twice;
// FAILED_PRECONDITION for another version.
absl::StatusOr<DatasetHeader> ParseDatasetHeader(
    const std::map<std::string, std::string>& metadata,
    const std::string& name);

class PreparedDataset {
 public:
  // Errors: those of TensorFile and ParseDatasetHeader; INVALID_ARGUMENT when
  // shapes disagree.
  static absl::StatusOr<std::shared_ptr<const PreparedDataset>> Open(
      const std::string& path);
  static absl::StatusOr<std::shared_ptr<const PreparedDataset>> FromFile(
      std::shared_ptr<const TensorFile> file, const std::string& name);

  const DatasetHeader& header() const { return header_; }
  int64_t num_samples() const {
    return static_cast<int64_t>(header_.samples.size());
  }
  int64_t num_labels() const {
    return static_cast<int64_t>(header_.labels.size());
  }
  // Index by id, or NOT_FOUND.
  absl::StatusOr<int64_t> IndexOf(const std::string& id) const;

  // Shapes as in the table above.
  absl::Span<const int64_t> scan_offset() const { return scan_offset_; }
  absl::Span<const double> temperature() const { return temperature_; }
  absl::Span<const float> abundance() const { return abundance_; }
  absl::Span<const float> baseline() const { return baseline_; }
  absl::Span<const float> offsets() const { return offsets_; }
  absl::Span<const float> offsets_baseline() const { return offsets_baseline_; }
  absl::Span<const uint8_t> labels() const { return labels_; }

 private:
  PreparedDataset() = default;
  std::shared_ptr<const TensorFile> file_;
  DatasetHeader header_;
  std::map<std::string, int64_t> index_;
  absl::Span<const int64_t> scan_offset_;
  absl::Span<const double> temperature_;
  absl::Span<const float> abundance_, baseline_, offsets_, offsets_baseline_;
  absl::Span<const uint8_t> labels_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_PREPARED_DATASET_H_
