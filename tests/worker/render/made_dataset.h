// A small prepared dataset made from a seed, for tests and benchmarks.
//
// Every sample has its own number of scans between 40 and 1,000 degrees C, a
// helium background, noise, and for each of its labels a peak at an m/z and a
// temperature of that label: networks can learn it.
#ifndef FOLDFARM_TESTS_WORKER_RENDER_MADE_DATASET_H_
#define FOLDFARM_TESTS_WORKER_RENDER_MADE_DATASET_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/spectra/prepared_dataset.h"

namespace foldfarm {

struct MadeDatasetOptions {
  int num_samples = 24;
  int num_labels = 3;
  int min_scans = 60;
  int max_scans = 120;
  uint32_t seed = 1;
  // Every so many samples, the first included, is the SAM testbed's; 0: none.
  int sam_every = 0;
};

// The file's bytes. Samples are called M0000, M0001, ...
std::string MakeDatasetFile(const MadeDatasetOptions& options);

// The same, opened. Dies when it cannot be.
std::shared_ptr<const PreparedDataset> MakeDataset(
    const MadeDatasetOptions& options);

// M0000, M0001, ... from `begin` to before `end`.
std::vector<std::string> MadeSampleIds(int begin, int end);

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_WORKER_RENDER_MADE_DATASET_H_
