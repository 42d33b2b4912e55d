#include "common/spectra/sample_check.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace foldfarm {
namespace {

// From here on a sample is odd. In the data that the recipe was made for, 5 %
// of the samples leave more columns empty, none nearly all; none has fewer
// scans, 1 % fewer m/z, and none repeated readings; at most 2 m/z of a sample
// are flat.
constexpr double kManyEmpty = 0.4;
constexpr double kNearlyAllEmpty = 0.75;
constexpr int64_t kFewScans = 30;
constexpr int kFewMz = 20;
constexpr double kNearlyAllFlat = 0.9;
constexpr double kManyBetween = 0.05;
constexpr double kManyRepeated = 0.05;
constexpr double kManyOutside = 0.5;
// The first and the last scan are never shown.
constexpr int64_t kFewestScans = 3;

// A rise that is this small beside the abundance itself is lost in single
// precision once offsets are subtracted.
constexpr float kLeastRise = 1e-6f;

double Percent(double share) { return std::round(share * 100); }

// Whether an m/z of a sample of so many scans never rises above its lowest
// abundance, as the dataset stores it.
bool IsFlat(const MzCurve& curve, int64_t scans) {
  float lowest = std::numeric_limits<float>::infinity();
  float highest = -lowest;
  for (size_t i = 0; i < curve.scan.size(); ++i) {
    const auto abundance = static_cast<float>(curve.abundance[i]);
    lowest = std::min(lowest, abundance);
    const bool shown = curve.scan[i] > 0 && curve.scan[i] + 1 < scans;
    if (shown) highest = std::max(highest, abundance);
  }
  const float size = std::max(std::abs(lowest), std::abs(highest));
  return !(highest - lowest > kLeastRise * size);
}

std::string DescribeEmpty(const ReadingSummary& summary, double empty,
                          const TemperatureWindow& window) {
  return absl::StrFormat(
      "its readings span %.0f to %.0f °C, the models look at %.0f to %.0f "
      "°C: %.0f %% of what they look at is empty",
      summary.lowest, summary.highest, window.first,
      window.first + window.step * (window.columns - 1), Percent(empty));
}

// What does not depend on the models.
void AddReadingWarnings(const ReadingSummary& summary,
                        std::vector<std::string>& warnings) {
  if (summary.scans < kFewScans) {
    warnings.push_back(absl::StrCat(
        "it has ", summary.scans, summary.scans == 1 ? " scan" : " scans",
        ", expected at least ", kFewScans, ": models see ",
        summary.scans < kFewestScans
            ? "nothing of it, as the first and the last scan are never shown"
            : "little of it"));
  }
  if (summary.num_mz < kFewMz) {
    warnings.push_back(absl::StrCat(
        "it has readings of ", summary.num_mz,
        " m/z, the models look at 100; what is missing looks like nothing"));
  }
  if (summary.flat_mz > kNearlyAllFlat * summary.num_mz &&
      summary.scans >= kFewestScans) {
    warnings.push_back(absl::StrCat(
        "the abundance of ", summary.flat_mz, " of its ", summary.num_mz,
        " m/z never rises: models see ",
        summary.flat_mz == summary.num_mz ? "nothing" : "little", " of it"));
  }
  const auto share = [&](int64_t count) {
    return static_cast<double>(count) /
           static_cast<double>(std::max<int64_t>(summary.readings, 1));
  };
  if (share(summary.repeated) > kManyRepeated) {
    warnings.push_back(absl::StrCat(
        Percent(share(summary.repeated)),
        " % of its readings have the time and the m/z of another one and were "
        "left out; was the time rounded?"));
  }
  if (share(summary.between) > kManyBetween) {
    warnings.push_back(absl::StrCat(
        Percent(share(summary.between)),
        " % of its readings have an m/z below 0 or between two whole numbers "
        "(fraction 0.3 to 0.7) and were left out"));
  }
  if (share(summary.cold + summary.hot) > kManyOutside) {
    warnings.push_back(
        absl::StrCat(Percent(share(summary.cold + summary.hot)),
                     " % of its readings were taken at 28 °C and below or at "
                     "1000 °C and above and were left out"));
  }
}

}  // namespace

ReadingSummary SummarizeReadings(const Readings& readings,
                                 const PreparedSample& sample) {
  ReadingSummary summary;
  summary.readings = static_cast<int64_t>(readings.size());
  summary.num_mz = static_cast<int>(sample.curves.size());
  summary.scans = static_cast<int64_t>(sample.temperature.size());
  for (const MzCurve& curve : sample.curves) {
    summary.flat_mz += IsFlat(curve, summary.scans) ? 1 : 0;
    for (size_t i = 1; i < curve.scan.size(); ++i) {
      summary.repeated += curve.scan[i] == curve.scan[i - 1] ? 1 : 0;
    }
  }
  if (readings.size() == 0) return summary;
  summary.lowest = summary.highest = readings.temperature[0];
  for (size_t i = 0; i < readings.size(); ++i) {
    const double t = readings.temperature[i];
    summary.lowest = std::min(summary.lowest, t);
    summary.highest = std::max(summary.highest, t);
    summary.cold += IsTooCold(t) ? 1 : 0;
    summary.hot += IsTooHot(t) ? 1 : 0;
    summary.between += IsBetweenMz(readings.mz[i]) ? 1 : 0;
  }
  return summary;
}

double EmptyColumns(absl::Span<const double> temperature,
                    const TemperatureWindow& window) {
  int empty = 0;
  for (int column = 0; column < window.columns; ++column) {
    const double centre = window.first + window.step * column;
    // The first and the last scan are never shown.
    bool seen = false;
    for (size_t i = 1; i + 1 < temperature.size() && !seen; ++i) {
      seen = std::abs(std::floor(temperature[i]) - centre) <= window.reach;
    }
    empty += seen ? 0 : 1;
  }
  return static_cast<double>(empty) / window.columns;
}

std::vector<std::string> SampleWarnings(const ReadingSummary& summary,
                                        absl::Span<const double> temperature,
                                        const TemperatureWindow& window) {
  std::vector<std::string> warnings;
  const double empty = EmptyColumns(temperature, window);
  if (empty > kManyEmpty) {
    warnings.push_back(DescribeEmpty(summary, empty, window));
  }
  AddReadingWarnings(summary, warnings);
  return warnings;
}

std::vector<std::string> ImportWarnings(const ReadingSummary& summary,
                                        absl::Span<const double> temperature) {
  std::vector<std::string> warnings;
  AddReadingWarnings(summary, warnings);
  const TemperatureWindow usual = {};
  const double empty = EmptyColumns(temperature, usual);
  if (empty > kNearlyAllEmpty && summary.scans >= kFewestScans) {
    warnings.push_back(DescribeEmpty(summary, empty, usual));
  }
  return warnings;
}

}  // namespace foldfarm
