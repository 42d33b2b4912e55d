// Features files: the readings of a sample, and what is prepared of them.
#include <cmath>

#include "common/spectra/features_csv.h"
#include "common/spectra/prepare.h"
#include "tests/fuzz/fuzz.h"

namespace foldfarm {
namespace {

// Preparing more takes longer and takes no other branch.
constexpr size_t kMostReadings = 400;

void Prepare(const Readings& readings, Instrument instrument) {
  const auto sample = PrepareSample(readings, instrument);
  if (!sample.ok()) {
    PromiseInvalid(sample.status());
    return;
  }
  Promise(!sample->curves.empty(), "a prepared sample has curves");
  for (const MzCurve& curve : sample->curves) {
    Promise(curve.mz >= 0 && curve.mz < kNumMz, "an m/z is below 100");
    Promise(curve.scan.size() == curve.abundance.size() &&
                curve.baseline.size() == curve.abundance.size(),
            "a curve's vectors are equally long");
    for (const double value : curve.baseline) {
      Promise(std::isfinite(value), "a baseline is finite");
    }
    for (const double value : curve.quantiles) {
      Promise(std::isfinite(value), "a quantile is finite");
    }
  }
  const SampleTensors tensors = ToTensors(*sample);
  Promise(tensors.abundance.size() == sample->temperature.size() * kNumMz,
          "tensors have a row a scan");
}

}  // namespace
}  // namespace foldfarm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using foldfarm::Promise;
  const auto readings = foldfarm::ParseFeatures(
      {reinterpret_cast<const char*>(data), size}, "fuzz.csv");
  if (!readings.ok()) {
    foldfarm::PromiseInvalid(readings.status());
    return 0;
  }
  Promise(readings->size() > 0, "a file that was taken has readings");
  Promise(readings->temperature.size() == readings->size() &&
              readings->mz.size() == readings->size() &&
              readings->abundance.size() == readings->size(),
          "columns are equally long");
  for (size_t i = 0; i < readings->size(); ++i) {
    Promise(std::isfinite(readings->time[i]) &&
                std::isfinite(readings->temperature[i]) &&
                std::isfinite(readings->mz[i]) &&
                std::isfinite(readings->abundance[i]),
            "values are finite");
    Promise(i == 0 || readings->time[i - 1] <= readings->time[i],
            "time never falls");
  }
  if (readings->size() > foldfarm::kMostReadings) return 0;
  foldfarm::Prepare(*readings, foldfarm::Instrument::kCommercial);
  foldfarm::Prepare(*readings, foldfarm::Instrument::kSamTestbed);
  return 0;
}
