// A vision transformer with one token a temperature.
#include <torch/torch.h>

#include "common/base/status_macros.h"
#include "worker/models/architectures.h"
#include "worker/models/common.h"
#include "worker/models/transformer.h"
#include "worker/render/render_options.h"

namespace foldfarm {
namespace {

// Holds "proj", the linear map from a temperature's values to a token; a 1 x 1
// convolution to timm, hence the shape.
class TemperatureEmbedding : public torch::nn::Module, public PatchEmbedding {
 public:
  explicit TemperatureEmbedding(int64_t dim)
      : proj_(
            register_module("proj", torch::nn::Conv2d(torch::nn::Conv2dOptions(
                                        kSequenceFeatures, dim, 1)))) {}

  at::Tensor Embed(const at::Tensor& images) override {
    return at::linear(ToSequence(images), proj_->weight.flatten(1),
                      proj_->bias);
  }

 private:
  torch::nn::Conv2d proj_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Model>> MakeVit1d(const Vit1dOptions& options,
                                                 int num_labels) {
  const TransformerOptions transformer = {.tokens = kNumColumns,
                                          .dim = options.dim,
                                          .depth = options.depth,
                                          .heads = options.heads,
                                          .mlp_ratio = options.mlp_ratio,
                                          .dropout = options.dropout};
  FOLDFARM_RETURN_IF_ERROR(CheckTransformer("arch.vit1d", transformer));
  const auto embedding = std::make_shared<TemperatureEmbedding>(options.dim);
  return MakeTransformer(transformer, embedding, embedding, num_labels);
}

}  // namespace foldfarm
