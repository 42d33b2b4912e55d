#include "common/ensemble/shrink_fit.h"

#include <cmath>
#include <utility>

#include "common/ensemble/scores.h"

namespace foldfarm {
namespace {

// How the sum of cross-entropies changes with the constant.
double Slope(absl::Span<const double> truth,
             absl::Span<const double> probabilities, double c) {
  double slope = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    if (std::isnan(probabilities[i])) continue;
    const double p = Shrink(probabilities[i], c);
    const double change = 1.0 - 2.0 * probabilities[i];
    slope += change * ((1.0 - truth[i]) / (1.0 - p) - truth[i] / p);
  }
  return slope;
}

ShrinkFit Fit(const OofMatrix& oof, absl::Span<const double> probabilities,
              std::string instrument_type) {
  const size_t labels = oof.num_labels();
  ShrinkFit fit;
  fit.instrument_type = std::move(instrument_type);
  fit.constant = BestShrinkConstant(oof.truth, probabilities);
  fit.log_loss = InstrumentLogLoss(oof, probabilities);
  double sum = 0, cells = 0;
  for (const FoldSplit& split : SplitFolds(oof)) {
    const double constant =
        BestShrinkConstant(SelectRows(oof.truth, labels, split.others),
                           SelectRows(probabilities, labels, split.others));
    for (const size_t sample : split.held_out) {
      for (size_t i = sample * labels; i < (sample + 1) * labels; ++i) {
        if (std::isnan(probabilities[i])) continue;
        sum += CrossEntropy(oof.truth[i], Shrink(probabilities[i], constant));
        ++cells;
      }
    }
  }
  fit.nested_log_loss = sum / cells;  // 0 / 0 is NaN: one fold.
  return fit;
}

}  // namespace

double BestShrinkConstant(absl::Span<const double> truth,
                          absl::Span<const double> probabilities) {
  if (Slope(truth, probabilities, kLeastShrink) >= 0) return kLeastShrink;
  double low = kLeastShrink;
  double high = kMostShrink;
  while (high - low > 1e-9) {
    const double middle = (low + high) / 2;
    (Slope(truth, probabilities, middle) < 0 ? low : high) = middle;
  }
  return (low + high) / 2;
}

std::vector<ShrinkFit> FitShrink(const OofMatrix& oof,
                                 absl::Span<const double> probabilities) {
  std::vector<ShrinkFit> fits = {Fit(oof, probabilities, "")};
  for (const auto& [instrument, samples] : SamplesByInstrument(oof)) {
    OofMatrix part = SelectSamples(oof, samples);
    fits.push_back(Fit(part,
                       SelectRows(probabilities, oof.num_labels(), samples),
                       instrument));
  }
  return fits;
}

}  // namespace foldfarm
