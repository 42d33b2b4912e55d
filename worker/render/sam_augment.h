// Makes commercial samples look like the SAM testbed's.
//
// In that instrument every ion stands on a background that is larger than most
// of what a sample gives off: residual gas that drifts, jumps and decays while
// the oven heats. Reading by reading, ions are counted, so that the background
// brings noise of its own; temperatures are less certain; and m/z below 12 are
// not scanned, helium least of all. Each of these is a change with a strength
// (SamAugmentOptions); together they act on abundances as an instrument would,
// before the recipe's offsets are subtracted, which then rise with them.
//
// How strong: baselines, noise and absent m/z of real SAM testbed samples. Over
// m/z their levels spread like 2^N(0, 3.4), following the levels that the same
// ions have in commercial samples with a power of 0.7; between samples like
// 2^N(0, 1.8); noise is 0.01 * sqrt(level), in units of the largest rise.
//
// A batch is a handful of tensor operations on the device, without a loop over
// samples. Immutable; thread-safe but for the generator it is given.
#ifndef FOLDFARM_WORKER_RENDER_SAM_AUGMENT_H_
#define FOLDFARM_WORKER_RENDER_SAM_AUGMENT_H_

#include <memory>

#include "worker/render/render_options.h"

namespace at {
class Tensor;
struct Generator;
}  // namespace at

namespace foldfarm {

// How high each curve's background stands among its sample's, as log2 of a
// factor, F32 [n, 100], from the samples' offsets F32 [n, 100, 4].
at::Tensor SamBackgroundProfile(const at::Tensor& offsets);

// The largest value of each image above its offsets, helium aside; F32
// [n, 1, 1]. `above` is F32 [n, 80, 100], NaN where nothing was measured.
at::Tensor LargestRise(const at::Tensor& above);

// Baselines of SAM samples as backgrounds for others: gaps along the columns
// filled from the nearest column before, else after, absent curves 0, in units
// of the sample's largest rise. F32 [k, 80, 100], from abundance and baseline
// of that shape and offsets F32 [k, 100, 4].
at::Tensor SamBackgrounds(const at::Tensor& abundance,
                          const at::Tensor& baseline,
                          const at::Tensor& offsets);

// Some drawn samples on their way to images, in abundances.
struct SamAugmentInput {
  const at::Tensor& abundance;  // F32 [n, 80, 100]; NaN: nothing measured.
  const at::Tensor& baseline;   // The same where it is to be subtracted and
                                // zeros where not, or undefined.
  const at::Tensor& subtracts;  // F32 [n, 1, 1]: 1 where the baseline is to be
                                // subtracted; undefined like `baseline`.
  const at::Tensor& offset;     // F32 [n, 1, 100]: what is subtracted then.
  const at::Tensor& weights;    // F32 [n, 4]: `offset`'s mix of quantiles.
  const at::Tensor& profile;    // F32 [n, 100], see SamBackgroundProfile.
};

class SamAugment {
 public:
  // `backgrounds`, F32 [k, 80, 100], are those of SAM samples; k may be 0. They
  // are on the device that batches will be on.
  SamAugment(const SamAugmentOptions& options, double temp_step,
             const at::Tensor& backgrounds);
  ~SamAugment();

  // Returns the changed abundances less the baseline and less the offset, which
  // moved by as much as the quantiles of the drawn columns did: F32
  // [n, 80, 100], NaN where nothing was measured.
  at::Tensor Apply(const SamAugmentInput& input,
                   at::Generator& generator) const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_RENDER_SAM_AUGMENT_H_
