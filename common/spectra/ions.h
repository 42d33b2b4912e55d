// What the ions of evolved gas analysis usually are.
//
// A mass-to-charge ratio alone does not name a gas: 28 is CO as well as N2, and
// fragments and isotopes of one gas show at several. The names here are the
// usual ones for gases that minerals, organic matter and the instrument give
// off under helium. Thread-safe.
#ifndef FOLDFARM_COMMON_SPECTRA_IONS_H_
#define FOLDFARM_COMMON_SPECTRA_IONS_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace foldfarm {

struct Ion {
  int mz;
  const char* name;     // "CO2"; several with commas, the likeliest first.
  const char* meaning;  // What gives it off, for people.
};

// By rising m/z; those that are not here have no usual name.
absl::Span<const Ion> Ions();

// "CO2", or "" for an m/z without a usual name.
absl::string_view IonName(int mz);

// The m/z's entry, or nullptr.
const Ion* FindIon(int mz);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_IONS_H_
