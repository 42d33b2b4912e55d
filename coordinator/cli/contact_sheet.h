// Images of samples on one PNG: rows and columns of panels with axes and a
// colour scale.
//
// A panel is 100 m/z (upwards) by 80 temperature columns, each value a square
// of kCellPixels. Colours follow viridis, in which equal steps look equal, also
// in grey and to the colour-blind. (Smith & van der Walt 2015.)
//
// Pure functions; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_CONTACT_SHEET_H_
#define FOLDFARM_COORDINATOR_CLI_CONTACT_SHEET_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/canvas.h"

namespace foldfarm {

inline constexpr int kPanelRows = 100;
inline constexpr int kPanelColumns = 80;
inline constexpr int kCellPixels = 2;

struct SheetPanel {
  // kPanelRows * kPanelColumns, columns adjacent; empty leaves a gap.
  std::vector<float> values;
  std::string caption;  // Above the panel; may be empty.
};

struct SheetRow {
  std::string title;
  std::string detail;  // In grey after the title.
  std::vector<SheetPanel> panels;
};

// The rows of one sample.
struct SheetSection {
  std::string title;
  std::string detail;
  std::vector<SheetRow> rows;
};

struct ContactSheet {
  std::string title;
  std::string detail;
  // The colour scale's ends and what its numbers are.
  double low = 0;
  double high = 1;
  std::string unit;
  // Temperature of column 0 and from one to the next, degrees C.
  double first_celsius = 0;
  double step_celsius = 1;
  std::vector<SheetSection> sections;
};

// The colour at `share` of the scale, clamped to [0, 1].
Rgb ScaleColour(double share);

// Where a panel stands on the sheet. REQUIRES: it is there.
PixelRect PanelRect(const ContactSheet& sheet, size_t section, size_t row,
                    size_t panel);

// The whole sheet; x and y are 0.
PixelRect SheetRect(const ContactSheet& sheet);

// The sheet as a PNG file's bytes. Errors: INVALID_ARGUMENT when it would be
// larger than a picture can be or a panel's values are not 100 x 80 or none;
// INTERNAL when the graphics library fails.
absl::StatusOr<std::string> PaintContactSheet(const ContactSheet& sheet);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_CONTACT_SHEET_H_
