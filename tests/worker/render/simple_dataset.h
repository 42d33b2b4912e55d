// Prepared datasets of samples given by formulas, so that a test knows what
// every pixel should be.
#ifndef FOLDFARM_TESTS_WORKER_RENDER_SIMPLE_DATASET_H_
#define FOLDFARM_TESTS_WORKER_RENDER_SIMPLE_DATASET_H_

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "common/spectra/prepared_dataset.h"

namespace foldfarm {

inline constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();

struct SimpleSample {
  std::vector<uint8_t> labels;
  // Of an m/z at a temperature; kNothing: no reading.
  std::function<float(int mz, double celsius)> abundance;
  std::function<float(int mz, double celsius)> baseline = [](int, double) {
    return 0.0f;
  };
  // Of an m/z: the k-th offset.
  std::function<float(int mz, int k)> offset = [](int, int) { return 0.0f; };
  std::string instrument_type = "commercial";
};

// The file's bytes: samples "R0", "R1", ... with a scan at each of
// `temperature`; they have equally many labels.
std::string SimpleDatasetFile(const std::vector<SimpleSample>& samples,
                              const std::vector<double>& temperature);

// The same, opened. Dies when it cannot be.
std::shared_ptr<const PreparedDataset> SimpleDataset(
    const std::vector<SimpleSample>& samples,
    const std::vector<double>& temperature);

// One scan a column, where it stands, and two more at the ends, which are never
// shown.
std::vector<double> ColumnTemperatures(double temp_step);

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_WORKER_RENDER_SIMPLE_DATASET_H_
