#include "worker/training/autocast.h"

#include <ATen/autocast_mode.h>
#include <torch/torch.h>
#include <torch/version.h>

namespace foldfarm {
namespace {

void Enable(bool enabled, bool on_gpu) {
#if TORCH_VERSION_MAJOR > 2 || \
    (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
  const at::DeviceType device = on_gpu ? at::kCUDA : at::kCPU;
  at::autocast::set_autocast_dtype(device, at::kBFloat16);
  at::autocast::set_autocast_enabled(device, enabled);
#else
  if (on_gpu) {
    at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
    at::autocast::set_enabled(enabled);
  } else {
    at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
    at::autocast::set_cpu_enabled(enabled);
  }
#endif
}

}  // namespace

AutocastScope::AutocastScope(bool enabled, bool on_gpu)
    : enabled_(enabled), on_gpu_(on_gpu) {
  if (enabled_) Enable(true, on_gpu_);
}

AutocastScope::~AutocastScope() {
  if (!enabled_) return;
  // The cast weights are stale after the next step.
  at::autocast::clear_cache();
  Enable(false, on_gpu_);
}

}  // namespace foldfarm
