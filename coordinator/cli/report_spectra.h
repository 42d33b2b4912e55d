// What a sample gave off, for people: its strongest ions over temperature.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_REPORT_SPECTRA_H_
#define FOLDFARM_COORDINATOR_CLI_REPORT_SPECTRA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/spectra/prepared_dataset.h"

namespace foldfarm {

// One ion's curve.
struct IonCurve {
  int mz = 0;
  // By bin of SampleSpectrum; NaN: no reading.
  std::vector<double> height;
  // Where it is highest, and how high.
  double peak_celsius = 0;
  double peak = 0;
};

// Heights are abundances above the ion's 5 % quantile, means over bins of 12
// degrees C, as shares of the sample's largest. Helium (m/z 4), the carrier, is
// left out.
struct SampleSpectrum {
  std::string sample_id;
  // Centres of the bins, in degrees C.
  std::vector<double> celsius;
  // The strongest six, by falling peak.
  std::vector<IonCurve> strongest;
  // The strongest of the others that have a usual name, at most twelve, down
  // to a thousandth of the largest.
  std::vector<IonCurve> named;
};

// REQUIRES: 0 <= sample < dataset.num_samples(). A sample without readings has
// no ions.
SampleSpectrum SpectrumOf(const PreparedDataset& dataset, int64_t sample);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_REPORT_SPECTRA_H_
