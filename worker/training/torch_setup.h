// Torch as a run needs it: threads, determinism, seeds.
#ifndef FOLDFARM_WORKER_TRAINING_TORCH_SETUP_H_
#define FOLDFARM_WORKER_TRAINING_TORCH_SETUP_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace foldfarm {

// How many GPUs Torch sees; 0 in a build without CUDA.
int CountGpus();

// Errors: FAILED_PRECONDITION for a GPU that this trainer does not see. Torch's
// exception passes through for what is no device's name.
absl::Status CheckDevice(const std::string& device);

// Prepares Torch for a run: `threads` CPU threads, deterministic algorithms,
// denormals as zero. Once a process, before models are built.
void ConfigureTorch(int threads, const std::string& device);

// Makes Torch's default generators start a job's weights from `seed`.
void SeedWeights(uint32_t seed);

// What a random sequence is for; part of its seed. New ones go last: numbers
// keep their meaning.
enum RandomStream : uint64_t {
  kWeightsStream,
  kOrderStream,
  kImageStream,
  kDropoutStream,
  kScoreStream,
  kPredictStream,
  kStatisticsStream,
};

// The seed of a job's `index`-th sequence for `stream`; never negative as I64.
uint64_t DeriveStreamSeed(uint64_t seed, uint64_t stream, uint64_t index);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINING_TORCH_SETUP_H_
