// Reads and prepares one features file. Import and prediction both come through
// here, so that a network predicts from what it was trained on. Thread-safe.
#ifndef FOLDFARM_COMMON_SPECTRA_SAMPLE_FILE_H_
#define FOLDFARM_COMMON_SPECTRA_SAMPLE_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/spectra/prepare.h"
#include "common/spectra/sample_check.h"

namespace foldfarm {

// What is left of a sample once its features file is read.
struct SampleFile {
  SampleTensors tensors;
  // Scans are bins: the SAM testbed's way, or readings that come one by one.
  bool binned = false;
  int64_t fallback_baselines = 0;
  ReadingSummary summary;
};

// `md5`: lower-case hex, or empty: not to be checked; `md5_source` says where
// it stands ("metadata.csv:12"). Errors: those of reading; INVALID_ARGUMENT
// naming the file (and the line) for malformed readings, for those that cannot
// be prepared, and for another MD5.
absl::StatusOr<SampleFile> ReadSampleFile(const std::string& path,
                                          Instrument instrument,
                                          const std::string& md5 = "",
                                          absl::string_view md5_source = "");

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_SAMPLE_FILE_H_
