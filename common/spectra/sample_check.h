// Says what is odd about a sample that is to be trained on or predicted:
// readings that do not count, temperatures that were not reached, ions that are
// not there or never change.
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COMMON_SPECTRA_SAMPLE_CHECK_H_
#define FOLDFARM_COMMON_SPECTRA_SAMPLE_CHECK_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "common/spectra/features_csv.h"
#include "common/spectra/prepare.h"

namespace foldfarm {

// The readings of one sample and what became of them.
struct ReadingSummary {
  int64_t readings = 0;
  // Left out by preparation: at 28 C and below, at 1000 C and above; between
  // two m/z, or below 0.
  int64_t cold = 0, hot = 0, between = 0;
  // Left out, too: another reading of the same m/z and the same scan follows.
  int64_t repeated = 0;
  // Degrees C of all readings.
  double lowest = 0, highest = 0;
  // Of 100; and those of them that look like nothing, as their abundance never
  // rises above its lowest in the scans that are shown.
  int num_mz = 0, flat_mz = 0;
  int64_t scans = 0;
};

ReadingSummary SummarizeReadings(const Readings& readings,
                                 const PreparedSample& sample);

// The temperatures that a model looks at, degrees C: of its columns' centres,
// and how far around each it looks.
struct TemperatureWindow {
  double first = 30;
  double step = 12;
  double reach = 16;
  int columns = 80;
};

// The share of a model's columns that have no scan of these temperatures.
double EmptyColumns(absl::Span<const double> temperature,
                    const TemperatureWindow& window);

// Why predictions of a sample may mean little, each a sentence without its
// name; none: nothing is odd. `window` is the widest of the models'.
std::vector<std::string> SampleWarnings(const ReadingSummary& summary,
                                        absl::Span<const double> temperature,
                                        const TemperatureWindow& window);

// Why models learn little from a sample, whatever the models are, as sentences
// of that kind. Says of temperatures only when nearly all that models usually
// look at is empty.
std::vector<std::string> ImportWarnings(const ReadingSummary& summary,
                                        absl::Span<const double> temperature);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_SAMPLE_CHECK_H_
