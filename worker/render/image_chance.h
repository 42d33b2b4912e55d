// What is left to chance in an image that predicts, from a number alone.
//
// Training draws whole batches from one generator, so that an image depends on
// what was drawn before it. A prediction must not: its images come from (seed,
// sample, draw), whatever else is in the batch, in whichever share of the
// samples, on whichever device. Pure functions; thread-safe. No Torch.
#ifndef FOLDFARM_WORKER_RENDER_IMAGE_CHANCE_H_
#define FOLDFARM_WORKER_RENDER_IMAGE_CHANCE_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/spectra/prepared_dataset.h"
#include "worker/render/render_options.h"

namespace foldfarm {

// The numbers of one image and where they stand. All are drawn whether or not
// the options ask for them: an option more does not change the others.
inline constexpr int kChanceScan = 0;                             // 80 uniform
inline constexpr int kChanceOffsets = kChanceScan + kNumColumns;  // 4 uniform
inline constexpr int kChanceBaseline = kChanceOffsets + kNumOffsets;  // uniform
inline constexpr int kChanceMz = kChanceBaseline + 1;     // 100 normal
inline constexpr int kChanceHelium = kChanceMz + kNumMz;  // normal
inline constexpr int kChanceScale = kChanceHelium + 1;    // normal
inline constexpr int kNumChances = kChanceScale + 1;

// Fills `chance` (kNumChances long): uniform numbers in [0, 1), multiples of
// 2^-24, and standard normal ones. Same seed, same numbers.
void FillImageChance(uint64_t seed, absl::Span<float> chance);

// The seed of the images of one sample: mixes `seed` with the sample's id.
uint64_t SampleSeed(uint64_t seed, absl::string_view sample_id);

// The finalizer of splitmix64 (Steele et al., 2014): neighbours become
// strangers.
uint64_t ScrambleBits(uint64_t z);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_RENDER_IMAGE_CHANCE_H_
