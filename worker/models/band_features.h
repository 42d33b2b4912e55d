// Tables of features from drawn images: what each m/z shows in each band of
// temperatures.
//
// A band is a number of neighbouring columns. For every m/z (100), width of
// band and band of that width, in this order: options.bands, then the measures
// maximum, area, position, width, then m/z, then bands. Immutable, thread-safe.
#ifndef FOLDFARM_WORKER_MODELS_BAND_FEATURES_H_
#define FOLDFARM_WORKER_MODELS_BAND_FEATURES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/models/model_options.h"

namespace at {
class Tensor;
}  // namespace at

namespace foldfarm {

class BandFeatures {
 public:
  // A band's width becomes the nearest whole number of columns (of temp_step
  // degrees), at least 1 and at most 80; where it does not divide 80 the last
  // band is narrower.
  // Errors: INVALID_ARGUMENT without a band or a measure, or when two widths
  // round to the same number of columns.
  static absl::StatusOr<BandFeatures> Create(
      const BandFeaturesOptions& options);

  // Features of an image.
  int64_t size() const { return static_cast<int64_t>(names_.size()); }

  // One name a feature, e.g. "mz18_96C_b03_max": m/z 18, bands of 96 degrees C,
  // the fourth of them; max, area, pos or width.
  const std::vector<std::string>& names() const { return names_; }

  // `images`: F32 [B, 100, 80] of any strides. Returns F32 [B, size()], without
  // gradient:
  //   max    the largest value, as the image shows it;
  //   area   the mean value; in log space the mean logarithm, so that breadth
  //          counts as much as height;
  //   pos    degrees C of the (first) largest value's column; of the band's
  //          centre where all values are equal, that is, nothing was measured;
  //   width  degrees C of the columns with at least half of the largest
  //          abundance; 0 where all values are equal.
  at::Tensor Compute(const at::Tensor& images) const;

 private:
  explicit BandFeatures(const BandFeaturesOptions& options)
      : options_(options) {}
  BandFeaturesOptions options_;
  std::vector<int64_t> columns_;  // Of each width of bands.
  std::vector<std::string> names_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_BAND_FEATURES_H_
