#include "worker/training/torch_setup.h"

#include <malloc.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "worker/render/image_chance.h"

namespace foldfarm {
void ConfigureTorch(int threads, const std::string& device) {
  at::set_num_threads(std::max(threads, 1));
#ifdef __GLIBC__
  // Every batch asks for the same large blocks: keep them, instead of handing
  // them back to the kernel and faulting them in again.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
  // Weights near zero would otherwise slow small networks down at their end.
  at::globalContext().setFlushDenormal(true);
  at::globalContext().setBenchmarkCuDNN(false);
  at::globalContext().setDeterministicCuDNN(true);
  if (at::Device(device).is_cuda()) {
    // cuBLAS is deterministic only with this workspace, read when it starts.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/true);
#if TORCH_VERSION_MAJOR >= 2 && \
    (TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 2)
    at::globalContext().setDeterministicFillUninitializedMemory(false);
#endif
  }
}

int CountGpus() { return static_cast<int>(torch::cuda::device_count()); }

absl::Status CheckDevice(const std::string& device) {
  const at::Device wanted(device);
  if (!wanted.is_cuda()) return absl::OkStatus();
  const int gpus = CountGpus();
  // "cuda" alone has the index -1: any.
  if (std::max(static_cast<int>(wanted.index()), 0) < gpus) {
    return absl::OkStatus();
  }
  // The worker knows these words and blames itself: worker_fault.cc.
  return absl::FailedPreconditionError(absl::StrCat(
      "device is ", device, ", but this trainer sees ",
      gpus == 0 ? "no GPU"
                : absl::StrCat("only ", gpus, gpus == 1 ? " GPU" : " GPUs")));
}

void SeedWeights(uint32_t seed) {
  torch::manual_seed(DeriveStreamSeed(seed, kWeightsStream, 0));
}

// 63 bits: some of Torch's seeds are signed.
uint64_t DeriveStreamSeed(uint64_t seed, uint64_t stream, uint64_t index) {
  return ScrambleBits(ScrambleBits(ScrambleBits(seed) + stream) + index) >> 1;
}

}  // namespace foldfarm
