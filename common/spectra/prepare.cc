#include "common/spectra/prepare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/spectra/aspls.h"

namespace foldfarm {
namespace {

// Degrees Celsius, exclusive.
constexpr double kMinTemperature = 28.0;
constexpr double kMaxTemperature = 1000.0;
constexpr double kBinWidth = 4.0;
constexpr int kNumBins = 250;
// An m/z with fewer bins has no baseline.
constexpr int kMinBins = 4;
// A scan holds every m/z; with fewer readings on average there are no scans.
constexpr size_t kMinReadingsPerScan = 2;
// Times the largest abundance, either way. Real samples reach -1.2 times; what
// single precision holds ends at 3e38, and baselines may reach further than the
// readings do.
constexpr double kMostAbundance = 1e30;
constexpr std::array<double, kNumOffsets> kProbabilities = {0.001, 0.05, 0.1,
                                                            0.2};

// The m/z row that a reading belongs to, or -1: halfway between two is neither.
int MzRow(double mz) {
  if (!(mz > -0.5 && mz < kNumMz)) return -1;
  if (IsBetweenMz(mz)) return -1;
  const int row = static_cast<int>(std::floor(mz + 0.5));
  return row < kNumMz ? row : -1;
}

double BinCentre(int bin) { return (bin + 0.5) * kBinWidth; }

// One m/z averaged over bins, without gaps.
struct BinnedCurve {
  int first_bin = 0;
  std::vector<double> values;
};

BinnedCurve Bin(const MzCurve& curve) {
  std::array<double, kNumBins> sum{};
  std::array<int, kNumBins> count{};
  int first = kNumBins;
  int last = -1;
  for (size_t i = 0; i < curve.temperature.size(); ++i) {
    const int bin = static_cast<int>(std::floor(curve.temperature[i] / 4.0));
    sum[static_cast<size_t>(bin)] += curve.abundance[i];
    ++count[static_cast<size_t>(bin)];
    first = std::min(first, bin);
    last = std::max(last, bin);
  }
  BinnedCurve binned;
  if (last < 0) return binned;
  binned.first_bin = first;
  binned.values.resize(static_cast<size_t>(last - first + 1));
  int before = first;  // The last bin that has readings.
  for (int bin = first; bin <= last; ++bin) {
    const auto b = static_cast<size_t>(bin);
    if (count[b] == 0) continue;
    const double value = sum[b] / count[b];
    binned.values[static_cast<size_t>(bin - first)] = value;
    const double start = binned.values[static_cast<size_t>(before - first)];
    for (int gap = before + 1; gap < bin; ++gap) {
      binned.values[static_cast<size_t>(gap - first)] =
          start + (value - start) * (gap - before) / (bin - before);
    }
    before = bin;
  }
  return binned;
}

bool AllFinite(absl::Span<const double> values) {
  return std::all_of(values.begin(), values.end(),
                     [](double v) { return std::isfinite(v); });
}

// The baseline at the bins' centres, between them linear, beyond them constant.
double BaselineAt(const BinnedCurve& binned, absl::Span<const double> baseline,
                  double temperature) {
  const double x = (temperature - BinCentre(binned.first_bin)) / kBinWidth;
  const double last = static_cast<double>(baseline.size() - 1);
  if (x <= 0) return baseline.front();
  if (x >= last) return baseline.back();
  const auto i = static_cast<size_t>(x);
  return baseline[i] +
         (baseline[i + 1] - baseline[i]) * (x - static_cast<double>(i));
}

// Sorts the readings that count into curves by m/z, scaled by the largest
// abundance. Scans number the distinct times.
absl::StatusOr<PreparedSample> SelectReadings(const Readings& readings,
                                              Instrument instrument) {
  PreparedSample sample;
  std::array<size_t, kNumMz> count{};
  std::vector<int8_t> rows(readings.size());
  double largest = -std::numeric_limits<double>::infinity();
  size_t kept = 0;
  for (size_t i = 0; i < readings.size(); ++i) {
    const double temperature = readings.temperature[i];
    const bool inside = !IsTooCold(temperature) && !IsTooHot(temperature);
    rows[i] = static_cast<int8_t>(inside ? MzRow(readings.mz[i]) : -1);
    if (rows[i] < 0) continue;
    ++kept;
    ++count[static_cast<size_t>(rows[i])];
    largest = std::max(largest, readings.abundance[i]);
  }
  if (kept == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("none of ", readings.size(),
                     " readings has 28 < temp < 1000 and an m/z below 100"));
  }
  if (!(largest > 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the largest abundance is ", largest, ", expected more than 0"));
  }
  sample.curves.resize(kNumMz);
  for (size_t mz = 0; mz < kNumMz; ++mz) {
    MzCurve& curve = sample.curves[mz];
    curve.mz = static_cast<int>(mz);
    curve.scan.reserve(count[mz]);
    curve.temperature.reserve(count[mz]);
    curve.abundance.reserve(count[mz]);
  }
  const bool scans_are_times = instrument == Instrument::kCommercial;
  double scan_time = 0;
  for (size_t i = 0; i < readings.size(); ++i) {
    if (rows[i] < 0) continue;
    const double temperature = readings.temperature[i];
    if (scans_are_times &&
        (sample.temperature.empty() || readings.time[i] != scan_time)) {
      scan_time = readings.time[i];
      sample.temperature.push_back(temperature);
    }
    const double abundance = readings.abundance[i] / largest;
    if (!(std::abs(abundance) <= kMostAbundance)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "m/z ", readings.mz[i], " at ", temperature, " C: abundance is ",
          readings.abundance[i], ", ", abundance,
          " times the sample's largest, ", largest, ", expected at most ",
          kMostAbundance, " times; remove the reading that was not measured"));
    }
    MzCurve& curve = sample.curves[static_cast<size_t>(rows[i])];
    curve.scan.push_back(static_cast<int64_t>(sample.temperature.size()) - 1);
    curve.temperature.push_back(temperature);
    curve.abundance.push_back(abundance);
  }
  sample.binned = !scans_are_times ||
                  kept < kMinReadingsPerScan * sample.temperature.size();
  return sample;
}

// Replaces the readings by the curves' bins.
void ReplaceByBins(const std::vector<BinnedCurve>& binned,
                   PreparedSample* sample) {
  int first = kNumBins;
  int last = -1;
  for (const BinnedCurve& b : binned) {
    first = std::min(first, b.first_bin);
    last = std::max(last, b.first_bin + static_cast<int>(b.values.size()) - 1);
  }
  // Only bins that some m/z has become scans.
  std::vector<int64_t> scan_of_bin(kNumBins, -1);
  for (const BinnedCurve& b : binned) {
    for (size_t i = 0; i < b.values.size(); ++i) {
      scan_of_bin[static_cast<size_t>(b.first_bin) + i] = 0;
    }
  }
  sample->temperature.clear();
  for (int bin = first; bin <= last; ++bin) {
    int64_t& scan = scan_of_bin[static_cast<size_t>(bin)];
    if (scan < 0) continue;
    scan = static_cast<int64_t>(sample->temperature.size());
    sample->temperature.push_back(BinCentre(bin));
  }
  for (size_t c = 0; c < binned.size(); ++c) {
    MzCurve& curve = sample->curves[c];
    curve.abundance = binned[c].values;
    curve.scan.resize(curve.abundance.size());
    curve.temperature.resize(curve.abundance.size());
    for (size_t i = 0; i < curve.abundance.size(); ++i) {
      const int bin = binned[c].first_bin + static_cast<int>(i);
      curve.scan[i] = scan_of_bin[static_cast<size_t>(bin)];
      curve.temperature[i] = BinCentre(bin);
    }
  }
}

// Removes scans that no curve refers to any more.
void DropUnusedScans(PreparedSample* sample) {
  std::vector<int64_t> renumbered(sample->temperature.size(), -1);
  for (const MzCurve& curve : sample->curves) {
    for (const int64_t scan : curve.scan) {
      renumbered[static_cast<size_t>(scan)] = 0;
    }
  }
  size_t used = 0;
  for (size_t scan = 0; scan < renumbered.size(); ++scan) {
    if (renumbered[scan] < 0) continue;
    renumbered[scan] = static_cast<int64_t>(used);
    sample->temperature[used++] = sample->temperature[scan];
  }
  if (used == sample->temperature.size()) return;
  sample->temperature.resize(used);
  for (MzCurve& curve : sample->curves) {
    for (int64_t& scan : curve.scan) {
      scan = renumbered[static_cast<size_t>(scan)];
    }
  }
}

}  // namespace

void Quantiles(std::vector<double>& values,
               const std::array<double, kNumOffsets>& probabilities,
               std::array<double, kNumOffsets>& out) {
  const double last = static_cast<double>(values.size() - 1);
  // Only the values up to the one after the highest quantile need be in order.
  const auto needed = static_cast<ptrdiff_t>(std::min(
      values.size(), static_cast<size_t>(probabilities.back() * last) + 2));
  std::nth_element(values.begin(), values.begin() + needed - 1, values.end());
  std::sort(values.begin(), values.begin() + needed);
  for (size_t q = 0; q < probabilities.size(); ++q) {
    const double position = probabilities[q] * last;
    const auto index = static_cast<size_t>(position);
    const double below = values[index];
    const double above = values[std::min(index + 1, values.size() - 1)];
    const double fraction = position - static_cast<double>(index);
    // From the nearer end, as numpy does.
    out[q] = fraction < 0.5 ? below + (above - below) * fraction
                            : above - (above - below) * (1 - fraction);
  }
}

bool IsTooCold(double temperature) { return !(temperature > kMinTemperature); }

bool IsTooHot(double temperature) { return !(temperature < kMaxTemperature); }

bool IsBetweenMz(double mz) {
  const double fraction = mz - std::floor(mz);
  return mz <= -0.5 || (fraction >= 0.3 && fraction <= 0.7);
}

absl::StatusOr<PreparedSample> PrepareSample(const Readings& readings,
                                             Instrument instrument) {
  FOLDFARM_ASSIGN_OR_RETURN(PreparedSample sample,
                            SelectReadings(readings, instrument));
  std::vector<BinnedCurve> binned;
  std::vector<MzCurve> kept;
  for (MzCurve& curve : sample.curves) {
    BinnedCurve b = Bin(curve);
    if (b.values.size() < kMinBins) continue;
    binned.push_back(std::move(b));
    kept.push_back(std::move(curve));
  }
  if (kept.empty()) {
    return absl::InvalidArgumentError(
        "every m/z spans less than 16 C (4 bins), too little for a baseline");
  }
  sample.curves = std::move(kept);

  std::vector<absl::Span<const double>> spans;
  spans.reserve(binned.size());
  for (const BinnedCurve& b : binned) spans.push_back(b.values);
  std::vector<Baseline> baselines = AsplsBaselines(spans);
  if (sample.binned) {
    ReplaceByBins(binned, &sample);
  } else {
    DropUnusedScans(&sample);
  }

  std::vector<double> scratch;
  for (size_t c = 0; c < sample.curves.size(); ++c) {
    MzCurve& curve = sample.curves[c];
    Baseline& baseline = baselines[c];
    if (!baseline.finite || !AllFinite(baseline.values)) {
      curve.fallback_baseline = true;
      baseline.values = ModPolyLine(binned[c].values);
      if (!AllFinite(baseline.values)) {
        baseline.values.assign(binned[c].values.size(),
                               *std::min_element(binned[c].values.begin(),
                                                 binned[c].values.end()));
      }
    }
    if (sample.binned) {
      curve.baseline = std::move(baseline.values);
    } else {
      curve.baseline.reserve(curve.temperature.size());
      for (const double temperature : curve.temperature) {
        curve.baseline.push_back(
            BaselineAt(binned[c], baseline.values, temperature));
      }
    }
    scratch = curve.abundance;
    Quantiles(scratch, kProbabilities, curve.quantiles);
    for (size_t i = 0; i < scratch.size(); ++i) {
      scratch[i] = curve.abundance[i] - curve.baseline[i];
    }
    Quantiles(scratch, kProbabilities, curve.quantiles_baseline);
  }
  return sample;
}

SampleTensors ToTensors(const PreparedSample& sample) {
  constexpr float kAbsent = std::numeric_limits<float>::quiet_NaN();
  SampleTensors tensors;
  tensors.temperature = sample.temperature;
  const size_t cells = sample.temperature.size() * kNumMz;
  tensors.abundance.assign(cells, kAbsent);
  tensors.baseline.assign(cells, kAbsent);
  tensors.offsets.assign(kNumMz * kNumOffsets, kAbsent);
  tensors.offsets_baseline.assign(kNumMz * kNumOffsets, kAbsent);
  for (const MzCurve& curve : sample.curves) {
    const auto mz = static_cast<size_t>(curve.mz);
    for (size_t i = 0; i < curve.scan.size(); ++i) {
      const size_t cell = static_cast<size_t>(curve.scan[i]) * kNumMz + mz;
      tensors.abundance[cell] = static_cast<float>(curve.abundance[i]);
      tensors.baseline[cell] = static_cast<float>(curve.baseline[i]);
    }
    for (size_t q = 0; q < kNumOffsets; ++q) {
      tensors.offsets[mz * kNumOffsets + q] =
          static_cast<float>(curve.quantiles[q]);
      tensors.offsets_baseline[mz * kNumOffsets + q] =
          static_cast<float>(curve.quantiles_baseline[q]);
    }
  }
  return tensors;
}

}  // namespace foldfarm
