#include "worker/training/probabilities.h"

#include <c10/util/Exception.h>
#include <torch/torch.h>

#include <optional>
#include <vector>

#include "worker/training/autocast.h"
#include "worker/training/out_of_memory.h"

namespace foldfarm {
namespace {

// None: there is no room for all of them, but perhaps for some. The error must
// be gone before the halves go in, since it holds what the forward pass did.
std::optional<at::Tensor> TryAll(Model& model, const at::Tensor& images) {
  try {
    return model.Forward(images).to(at::kFloat).sigmoid();
  } catch (const c10::Error& error) {
    if (images.size(0) <= 1 || !IsOutOfMemory(error)) throw;
    return std::nullopt;
  }
}

at::Tensor InParts(Model& model, const at::Tensor& images) {
  std::optional<at::Tensor> all = TryAll(model, images);
  if (all.has_value()) return *std::move(all);
  std::vector<at::Tensor> parts;
  for (const at::Tensor& half : images.chunk(2)) {
    parts.push_back(InParts(model, half));
  }
  return at::cat(parts);
}

}  // namespace

at::Tensor Probabilities(Model& model, const at::Tensor& images, bool bf16) {
  const at::NoGradGuard no_grad;
  model.module().eval();
  const AutocastScope autocast(bf16, images.is_cuda());
  return InParts(model, images);
}

}  // namespace foldfarm
