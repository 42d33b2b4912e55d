// A network that turns images into logits.
//
// Parameters and buffers carry the names that timm and the recipe's authors
// give them, so that published weights load and Python users can load ours.
// Not thread-safe.
#ifndef FOLDFARM_WORKER_MODELS_MODEL_H_
#define FOLDFARM_WORKER_MODELS_MODEL_H_

#include <memory>

#include "absl/status/statusor.h"
#include "worker/models/model_options.h"

namespace at {
class Tensor;
}  // namespace at
namespace torch::nn {
class Module;
}  // namespace torch::nn

namespace foldfarm {

class Model {
 public:
  virtual ~Model() = default;

  // `images`: F32 [B, 100, 80], rows m/z, columns temperature; any strides.
  // Returns logits [B, num_labels]. Train or eval mode as module() says.
  virtual at::Tensor Forward(const at::Tensor& images) = 0;

  // What training adds to the loss of the last Forward, a scalar with its
  // gradient, e.g. a penalty on attention masks; undefined (the default): none.
  // Asked for once after each Forward in train mode.
  virtual at::Tensor AuxiliaryLoss();

  // The same object as Torch sees it: parameters, buffers, mode.
  virtual torch::nn::Module& module() = 0;
};

// Builds a network with fresh random weights (timm's and PyTorch's defaults),
// drawn from Torch's default CPU generator. The one list of architectures.
// Errors: INVALID_ARGUMENT for options that no network fits, and for
// NoneOptions, which has none.
absl::StatusOr<std::shared_ptr<Model>> BuildModel(const ArchOptions& options,
                                                  int num_labels);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_MODEL_H_
