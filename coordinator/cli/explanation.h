// What foldfarm-trainer found to speak for a label of a sample, as people see
// it: a list of peaks, a JSON document, a picture.
//
// Pure but for LoadExplanation, which reads; thread-safe.
#ifndef FOLDFARM_COORDINATOR_CLI_EXPLANATION_H_
#define FOLDFARM_COORDINATOR_CLI_EXPLANATION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/spectra/evidence.h"
#include "coordinator/cli/canvas.h"

namespace foldfarm {

struct Explanation {
  std::string sample, label, instrument_type, bundle;
  bool instrument_guessed = false;
  // Of the bundle; log-odds of the models that were asked.
  double probability = 0, spread = 0, low = 0, high = 0, log_odds = 0;
  double first_celsius = 30, step_celsius = 12, window_celsius = 72;
  double min_clip = 1e-4;
  int networks = 0, draws = 0;
  std::vector<std::string> models, left_out, warnings;
  std::vector<float> image;     // [100, 80] in [0, 1]
  std::vector<float> evidence;  // [100, 80], log-odds
  // The largest pieces for and against the label.
  std::vector<EvidencePeak> speaks_for, against;

  // Of a column's centre, degrees C.
  double CelsiusOf(int column) const {
    return first_celsius + step_celsius * column;
  }
};

// Reads explain.safetensors and finds the `top` largest peaks either way.
// Errors: those of the file; INVALID_ARGUMENT when it is another.
absl::StatusOr<Explanation> LoadExplanation(const std::string& path,
                                            size_t top);

// "44 CO2", "71".
std::string MzText(int mz);
// "612-684 °C".
std::string RangeText(const Explanation& explanation, const EvidencePeak& peak);

// A sentence on the prediction, then tables of what speaks for and against.
std::string ExplanationText(const Explanation& explanation, size_t width,
                            bool colour);
// The same as one document.
std::string ExplanationJson(const Explanation& explanation);

// The spectrum beside the map of evidence, the largest peaks marked and named,
// as a PNG's bytes. Errors: INTERNAL when the graphics library fails.
absl::StatusOr<std::string> PaintExplanation(const Explanation& explanation);

// The colour of evidence at `share` of the scale, -1 (against, blue) over 0
// (white) to 1 (for, red).
Rgb EvidenceColour(double share);

}  // namespace foldfarm

#endif  // FOLDFARM_COORDINATOR_CLI_EXPLANATION_H_
