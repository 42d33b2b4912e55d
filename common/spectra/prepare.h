// Turns the readings of one sample into what images are drawn from: filtered,
// scaled, with a baseline and quantile offsets for every m/z.
//
// Deterministic, thread-safe. Computes in double; the prepared dataset stores
// float.
//
// Source: the recipe, section 2.
#ifndef FOLDFARM_COMMON_SPECTRA_PREPARE_H_
#define FOLDFARM_COMMON_SPECTRA_PREPARE_H_

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "common/spectra/features_csv.h"
#include "common/spectra/prepared_dataset.h"

namespace foldfarm {

// The version of what is done here and of the prepared dataset's format.
// Networks predict from samples that were prepared as those they learned from.
inline constexpr char kPreparationVersion[] = "1";

enum class Instrument { kCommercial, kSamTestbed };

// One m/z of a prepared sample. The vectors are equally long.
struct MzCurve {
  int mz = 0;
  std::vector<int64_t> scan;        // Index into PreparedSample::temperature.
  std::vector<double> temperature;  // Degrees Celsius.
  std::vector<double> abundance;    // Share of the sample's largest.
  std::vector<double> baseline;
  // The 0.1, 5, 10 and 20 % quantiles of abundance, and of abundance -
  // baseline.
  std::array<double, kNumOffsets> quantiles{};
  std::array<double, kNumOffsets> quantiles_baseline{};
  // asPLS broke down; the baseline is a line or the minimum.
  bool fallback_baseline = false;
};

struct PreparedSample {
  // Scans are bins, not the instrument's own.
  bool binned = false;
  // Of each scan, in the order of measurement.
  std::vector<double> temperature;
  std::vector<MzCurve> curves;  // By m/z; those with too few readings are gone.
};

// Prepares one sample. Commercial samples keep their readings, one scan for
// each time; for SAM testbed ones, scans are the 4 C bins that some m/z has, at
// the bins' centres. A commercial sample whose readings come one by one all the
// same (test sample S1319 does) is treated as a SAM testbed one: an image
// column drawn from such a scan would hold a single m/z.
//
// Errors: INVALID_ARGUMENT when no reading is left in 28 < temperature < 1000
// and m/z < 100, when the largest abundance is not positive, when an abundance
// is so many times the largest that single precision cannot hold it, and when
// every m/z has too few readings.
absl::StatusOr<PreparedSample> PrepareSample(const Readings& readings,
                                             Instrument instrument);

// Why PrepareSample leaves a reading out: its temperature, degrees C, or an m/z
// that is halfway between two, or below 0.
bool IsTooCold(double temperature);
bool IsTooHot(double temperature);
bool IsBetweenMz(double mz);

// A prepared sample as the dataset stores it: see prepared_dataset.h. Where
// several readings of one scan hit an m/z, the last one stays.
struct SampleTensors {
  std::vector<double> temperature;      // [s]
  std::vector<float> abundance;         // [s, 100]
  std::vector<float> baseline;          // [s, 100]
  std::vector<float> offsets;           // [100, 4]
  std::vector<float> offsets_baseline;  // [100, 4]
};
SampleTensors ToTensors(const PreparedSample& sample);

// numpy's quantile with linear interpolation, for ascending `probabilities`.
// `values` is reordered. REQUIRES: not empty.
void Quantiles(std::vector<double>& values,
               const std::array<double, kNumOffsets>& probabilities,
               std::array<double, kNumOffsets>& out);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_PREPARE_H_
