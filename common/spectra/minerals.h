// What minerals give off when heated, as the synthetic generator needs it:
// gases, their mass spectra, and at which temperatures each mineral releases
// them. Figures are rounded textbook values; nothing here is measured data.
#ifndef FOLDFARM_COMMON_SPECTRA_MINERALS_H_
#define FOLDFARM_COMMON_SPECTRA_MINERALS_H_

#include "absl/types/span.h"

namespace foldfarm {

enum class Gas { kH2O, kCO2, kCO, kSO2, kH2S, kO2, kHCl, kNO, kH2, kOrganic };

// One line of a gas's mass spectrum: parent, fragments and isotopes.
struct MassLine {
  int mz;
  double share;  // Of the largest line.
};
absl::Span<const MassLine> MassSpectrum(Gas gas);

// A gas given off around some temperature, in degrees Celsius. From sample to
// sample the centre and, on a log scale, the strength vary (normal).
struct Release {
  Gas gas;
  double centre;
  double centre_spread;
  double width;
  double strength;
};

struct Mineral {
  const char* label;
  double prevalence;
  absl::Span<const Release> releases;
};

// In the order of the label columns.
absl::Span<const Mineral> Minerals();

// What every sample gives off: adsorbed water, air, a little organic matter.
absl::Span<const Release> CommonReleases();

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_MINERALS_H_
