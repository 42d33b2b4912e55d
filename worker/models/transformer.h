// What the vision transformers share: all but how an image becomes tokens.
#ifndef FOLDFARM_WORKER_MODELS_TRANSFORMER_H_
#define FOLDFARM_WORKER_MODELS_TRANSFORMER_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "worker/models/model.h"

namespace foldfarm {

// Turns images [B, 100, 80] into tokens [B, tokens, dim]: "patch_embed".
class PatchEmbedding {
 public:
  virtual ~PatchEmbedding() = default;
  virtual at::Tensor Embed(const at::Tensor& images) = 0;
};

struct TransformerOptions {
  int64_t tokens = 0;  // Of an image, without the class token.
  int64_t dim = 0;
  int depth = 0;
  int64_t heads = 0;
  double mlp_ratio = 4;
  double dropout = 0;
};

// INVALID_ARGUMENT when no transformer has these sizes. `where` ("arch.vit")
// begins the message.
absl::Status CheckTransformer(absl::string_view where,
                              const TransformerOptions& options);

// A vision transformer (Dosovitskiy et al., An Image is Worth 16x16 Words,
// 2021) as timm 0.5.4 names and starts it: class token, learned positions,
// normalization first; all of it under "base_model".
// `embedding` and `module` are one object in its two roles.
// REQUIRES: CheckTransformer(options).
std::shared_ptr<Model> MakeTransformer(
    const TransformerOptions& options,
    std::shared_ptr<PatchEmbedding> embedding,
    std::shared_ptr<torch::nn::Module> module, int num_labels);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_TRANSFORMER_H_
