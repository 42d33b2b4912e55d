// Makes a folder of invented samples in the competition's layout: for the demo,
// tests and benchmarks, where real ones cannot be had.
//
// A sample is a mix of minerals, each giving off the gases that it gives off in
// a real oven (a carbonate carbon dioxide near 700 C, a sulfide sulfur dioxide
// early, ...), with their isotopes and fragments, over a drifting background,
// the helium that carries the gases, and counting noise. Commercial samples
// share scans over all m/z; SAM testbed readings come one by one.
#ifndef FOLDFARM_COMMON_SPECTRA_SYNTHESIZE_H_
#define FOLDFARM_COMMON_SPECTRA_SYNTHESIZE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace foldfarm {

struct SynthesisOptions {
  // Labelled train samples of each instrument.
  int samples = 240;
  int sam = 16;
  uint64_t seed = 1;
};

// Writes metadata.csv, train_labels.csv, train_features/, test_features/ (an
// eighth as many, at least one of each instrument asked for) and
// submission_format.csv into `directory`, which is made when absent. Equal
// options give equal bytes on every machine.
//
// Errors: INVALID_ARGUMENT for negative counts, no samples at all or more than
// 100,000; FAILED_PRECONDITION when `directory` holds a metadata.csv already;
// those of writing files.
absl::Status SynthesizeDataset(const std::string& directory,
                               const SynthesisOptions& options);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_SYNTHESIZE_H_
