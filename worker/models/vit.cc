// A vision transformer with one token for every `patch` temperatures of an m/z.
//
// Each value, in [0, 1], is one of `levels`, one-hot, and a patch's one-hot
// values go through a convolution. That is the sum of one row of the weight for
// each value of the patch, and is computed so: same parameters, same numbers, a
// two-hundredth of the multiplications.
#include <torch/torch.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/models/architectures.h"
#include "worker/models/common.h"
#include "worker/models/transformer.h"
#include "worker/render/render_options.h"

namespace foldfarm {
namespace {

// Holds "proj", the convolution, [dim, levels, 1, patch].
class LevelEmbedding : public torch::nn::Module, public PatchEmbedding {
 public:
  explicit LevelEmbedding(const VitOptions& options)
      : patch_(options.patch),
        levels_(options.levels),
        proj_(register_module(
            "proj", torch::nn::Conv2d(
                        torch::nn::Conv2dOptions(options.levels, options.dim,
                                                 {1, options.patch})
                            .stride({1, options.patch})))) {}

  at::Tensor Embed(const at::Tensor& images) override {
    const int64_t batch = images.size(0);
    // A row of the table is a place in the patch with a level.
    const at::Tensor places =
        at::arange(patch_, at::dtype(at::kLong).device(images.device()))
            .mul_(levels_);
    const at::Tensor rows = images.mul(static_cast<double>(levels_ - 1))
                                .clamp_(0, static_cast<double>(levels_ - 1))
                                .to(at::kLong)
                                .reshape({-1, patch_})
                                .add_(places);
    const at::Tensor table =
        proj_->weight.squeeze(2).permute({2, 1, 0}).reshape(
            {patch_ * levels_, -1});
    const at::Tensor sums = torch::nn::functional::embedding_bag(
        rows, table,
        torch::nn::functional::EmbeddingBagFuncOptions().mode(torch::kSum));
    return (sums + proj_->bias).view({batch, -1, table.size(1)});
  }

 private:
  const int64_t patch_, levels_;
  torch::nn::Conv2d proj_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Model>> MakeVit(const VitOptions& options,
                                               int num_labels) {
  if (options.patch < 1 || kNumColumns % options.patch != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.vit: patch ", options.patch,
                     ", expected a divisor of the ", kNumColumns, " columns"));
  }
  if (options.levels < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "arch.vit: levels ", options.levels, ", expected at least 2"));
  }
  const TransformerOptions transformer = {
      .tokens = kNumMz * (kNumColumns / options.patch),
      .dim = options.dim,
      .depth = options.depth,
      .heads = options.heads,
      .mlp_ratio = options.mlp_ratio,
      .dropout = options.dropout};
  FOLDFARM_RETURN_IF_ERROR(CheckTransformer("arch.vit", transformer));
  const auto embedding = std::make_shared<LevelEmbedding>(options);
  return MakeTransformer(transformer, embedding, embedding, num_labels);
}

}  // namespace foldfarm
