#include "coordinator/cli/report_spectra.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "common/spectra/ions.h"

namespace foldfarm {
namespace {

constexpr double kBinCelsius = 12;
constexpr int kBins = 84;  // Up to 1,008 degrees C: all that is kept of a run.
constexpr int kHelium = 4;
constexpr size_t kStrongest = 6;
constexpr double kLeastNamed = 1e-3;
constexpr size_t kMostNamed = 12;
// Index of the 5 % quantile among a m/z's offsets.
constexpr int kQuantile = 1;

// Sums and counts of a sample's readings, by m/z and bin.
struct Bins {
  std::vector<double> sum = std::vector<double>(kNumMz * kBins);
  std::vector<int> count = std::vector<int>(kNumMz * kBins);
};

Bins BinReadings(const PreparedDataset& dataset, int64_t sample) {
  Bins bins;
  for (int64_t scan = dataset.scan_offset()[sample];
       scan < dataset.scan_offset()[sample + 1]; ++scan) {
    const double celsius = dataset.temperature()[scan];
    if (!(celsius >= 0 && celsius < kBins * kBinCelsius)) continue;
    const int bin = static_cast<int>(celsius / kBinCelsius);
    for (int mz = 0; mz < kNumMz; ++mz) {
      const float reading = dataset.abundance()[scan * kNumMz + mz];
      if (std::isnan(reading)) continue;
      bins.sum[mz * kBins + bin] += reading;
      ++bins.count[mz * kBins + bin];
    }
  }
  return bins;
}

// The curve above its offset, not yet scaled.
IonCurve CurveOf(const Bins& bins, int mz, double offset) {
  IonCurve curve;
  curve.mz = mz;
  curve.height.assign(kBins, std::numeric_limits<double>::quiet_NaN());
  for (int bin = 0; bin < kBins; ++bin) {
    const int at = mz * kBins + bin;
    if (bins.count[at] == 0) continue;
    curve.height[bin] = bins.sum[at] / bins.count[at] - offset;
    if (curve.height[bin] > curve.peak) {
      curve.peak = curve.height[bin];
      curve.peak_celsius = (bin + 0.5) * kBinCelsius;
    }
  }
  return curve;
}

}  // namespace

SampleSpectrum SpectrumOf(const PreparedDataset& dataset, int64_t sample) {
  SampleSpectrum spectrum;
  spectrum.sample_id = dataset.header().samples[sample].id;
  for (int bin = 0; bin < kBins; ++bin) {
    spectrum.celsius.push_back((bin + 0.5) * kBinCelsius);
  }
  const Bins bins = BinReadings(dataset, sample);
  std::vector<IonCurve> curves;
  for (int mz = 0; mz < kNumMz; ++mz) {
    const double offset =
        dataset.offsets()[(sample * kNumMz + mz) * kNumOffsets + kQuantile];
    // The m/z is absent when it has no quantiles.
    if (mz == kHelium || std::isnan(offset)) continue;
    IonCurve curve = CurveOf(bins, mz, offset);
    if (curve.peak > 0) curves.push_back(std::move(curve));
  }
  std::stable_sort(
      curves.begin(), curves.end(),
      [](const IonCurve& a, const IonCurve& b) { return a.peak > b.peak; });
  const double largest = curves.empty() ? 1 : curves.front().peak;
  for (IonCurve& curve : curves) {
    curve.peak /= largest;
    for (double& height : curve.height) height /= largest;
    if (spectrum.strongest.size() < kStrongest) {
      spectrum.strongest.push_back(std::move(curve));
    } else if (spectrum.named.size() < kMostNamed &&
               FindIon(curve.mz) != nullptr && curve.peak >= kLeastNamed) {
      spectrum.named.push_back(std::move(curve));
    }
  }
  return spectrum;
}

}  // namespace foldfarm
