// Which features files a person means, what they are called and which
// instrument measured them. No Torch.
#ifndef FOLDFARM_WORKER_TRAINER_SAMPLE_INPUTS_H_
#define FOLDFARM_WORKER_TRAINER_SAMPLE_INPUTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/spectra/prepared_dataset.h"
#include "common/spectra/sample_check.h"
#include "common/spectra/sample_file.h"

namespace foldfarm {

struct SampleInput {
  std::string path;
  std::string id;
  // Empty: unknown, to be guessed from the readings.
  std::string instrument_type;
  // As metadata.csv says, and where; empty: not known.
  std::string md5;
  std::string md5_source;
};

// The files that `arguments` name, in their order:
// * a features file;
// * a folder with metadata.csv: those of its samples that are there;
// * another folder: all of its *.csv.
// A file's row in the metadata.csv of its folder or of the one above says its
// instrument; `instrument_type` (may be empty) is that of files without a row.
// Ids are the files' names without ".csv", with their folders where two are
// alike.
// Errors: NOT_FOUND for a path that is not there and a folder without samples;
// those of metadata.csv.
absl::StatusOr<std::vector<SampleInput>> FindSamples(
    const std::vector<std::string>& arguments,
    const std::string& instrument_type);

// One sample as it was read: prepared, or why it could not be.
struct ReadSample {
  SampleInput input;
  absl::Status status;
  SampleFile file;
  // What a person should know of it.
  bool guessed_instrument = false;
  std::vector<std::string> warnings;
};

// Reads and prepares samples as import does, on `threads` threads. A sample of
// unknown instrument counts as the SAM testbed's when its readings come one by
// one, as import has it, else as commercial. `window` is what models look at.
std::vector<ReadSample> ReadSamples(absl::Span<const SampleInput> inputs,
                                    const TemperatureWindow& window,
                                    int threads);

// Those that could be read as a dataset with these labels; the index of a
// sample in it is its place among them.
absl::StatusOr<std::shared_ptr<const PreparedDataset>> DatasetOf(
    const std::vector<ReadSample>& samples,
    const std::vector<std::string>& labels);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_SAMPLE_INPUTS_H_
