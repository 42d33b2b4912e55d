// A vision transformer with one token a temperature (Dosovitskiy et al., An
// Image is Worth 16x16 Words, 2021), as timm 0.5.4's VisionTransformer names
// and starts it: class token, learned positions, normalization first.
#include <torch/torch.h>

#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/models/architectures.h"
#include "worker/models/common.h"
#include "worker/render/render_options.h"

namespace foldfarm {
namespace {

constexpr double kInitDeviation = 0.02;

torch::nn::LayerNorm Norm(int64_t dim) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim}).eps(1e-6));
}

class Attention : public torch::nn::Module {
 public:
  Attention(int64_t dim, int64_t heads, double dropout)
      : heads_(heads),
        dropout_(dropout),
        qkv_(register_module("qkv", torch::nn::Linear(dim, 3 * dim))),
        proj_(register_module("proj", torch::nn::Linear(dim, dim))) {}

  at::Tensor forward(const at::Tensor& x) {
    const int64_t batch = x.size(0), tokens = x.size(1), dim = x.size(2);
    const at::Tensor qkv = qkv_->forward(x)
                               .view({batch, tokens, 3, heads_, dim / heads_})
                               .permute({2, 0, 3, 1, 4});
    const double scale = 1 / std::sqrt(static_cast<double>(dim / heads_));
    const at::Tensor weights =
        at::matmul(qkv[0] * scale, qkv[1].transpose(-2, -1)).softmax(-1);
    const at::Tensor mixed = at::matmul(weights, qkv[2])
                                 .transpose(1, 2)
                                 .reshape({batch, tokens, dim});
    return at::dropout(proj_->forward(mixed), dropout_, is_training());
  }

 private:
  const int64_t heads_;
  const double dropout_;
  torch::nn::Linear qkv_, proj_;
};

class Mlp : public torch::nn::Module {
 public:
  Mlp(int64_t dim, int64_t hidden, double dropout)
      : dropout_(dropout),
        fc1_(register_module("fc1", torch::nn::Linear(dim, hidden))),
        fc2_(register_module("fc2", torch::nn::Linear(hidden, dim))) {}

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor hidden =
        at::dropout(at::gelu(fc1_->forward(x)), dropout_, is_training());
    return at::dropout(fc2_->forward(hidden), dropout_, is_training());
  }

 private:
  const double dropout_;
  torch::nn::Linear fc1_, fc2_;
};

class Block : public torch::nn::Module {
 public:
  explicit Block(const Vit1dOptions& options)
      : norm1_(register_module("norm1", Norm(options.dim))),
        attention_(register_module(
            "attn", std::make_shared<Attention>(options.dim, options.heads,
                                                options.dropout))),
        norm2_(register_module("norm2", Norm(options.dim))),
        mlp_(register_module(
            "mlp", std::make_shared<Mlp>(
                       options.dim,
                       static_cast<int64_t>(options.dim * options.mlp_ratio),
                       options.dropout))) {}

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor y = x + attention_->forward(norm1_->forward(x));
    return y + mlp_->forward(norm2_->forward(y));
  }

 private:
  torch::nn::LayerNorm norm1_;
  std::shared_ptr<Attention> attention_;
  torch::nn::LayerNorm norm2_;
  std::shared_ptr<Mlp> mlp_;
};

// Holds "proj", the linear map from a temperature's values to a token; a 1 x 1
// convolution to timm, hence the shape.
class PatchEmbed : public torch::nn::Module {
 public:
  explicit PatchEmbed(int64_t dim)
      : proj_(
            register_module("proj", torch::nn::Conv2d(torch::nn::Conv2dOptions(
                                        kSequenceFeatures, dim, 1)))) {}

  at::Tensor forward(const at::Tensor& x) {
    return at::linear(x, proj_->weight.flatten(1), proj_->bias);
  }

 private:
  torch::nn::Conv2d proj_;
};

class Transformer : public torch::nn::Module {
 public:
  Transformer(const Vit1dOptions& options, int num_labels)
      : dropout_(options.dropout) {
    cls_token_ =
        register_parameter("cls_token", at::zeros({1, 1, options.dim}));
    pos_embed_ = register_parameter(
        "pos_embed", at::zeros({1, kNumColumns + 1, options.dim}));
    patch_embed_ = register_module("patch_embed",
                                   std::make_shared<PatchEmbed>(options.dim));
    blocks_ = register_module("blocks", torch::nn::Sequential());
    for (int block = 0; block < options.depth; ++block) {
      blocks_->push_back(std::make_shared<Block>(options));
    }
    norm_ = register_module("norm", Norm(options.dim));
    head_ = register_module("head", torch::nn::Linear(options.dim, num_labels));
    Initialize();
  }

  at::Tensor forward(const at::Tensor& sequence) {
    at::Tensor x = patch_embed_->forward(sequence);
    x = at::cat({cls_token_.expand({x.size(0), 1, x.size(2)}), x}, 1);
    x = at::dropout(x + pos_embed_, dropout_, is_training());
    x = norm_->forward(blocks_->forward(x));
    return head_->forward(x.select(1, 0));
  }

 private:
  // timm truncates its normal distribution at 100 deviations: not at all.
  void Initialize() {
    for (auto& item : named_parameters()) {
      const std::string& name = item.key();
      at::Tensor& parameter = item.value();
      const at::NoGradGuard no_grad;
      if (name.starts_with("head.")) {
        parameter.zero_();
      } else if (name == "cls_token" || name == "pos_embed" ||
                 (name.starts_with("blocks.") && parameter.dim() == 2)) {
        parameter.normal_(0, kInitDeviation);
      } else if (name.starts_with("blocks.") && name.ends_with(".bias")) {
        parameter.zero_();
      }
    }
  }

  const double dropout_;
  at::Tensor cls_token_, pos_embed_;
  std::shared_ptr<PatchEmbed> patch_embed_;
  torch::nn::Sequential blocks_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
  torch::nn::Linear head_{nullptr};
};

class Vit1d : public torch::nn::Module, public Model {
 public:
  Vit1d(const Vit1dOptions& options, int num_labels)
      : transformer_(register_module(
            "base_model", std::make_shared<Transformer>(options, num_labels))) {
  }

  at::Tensor Forward(const at::Tensor& images) override {
    return transformer_->forward(ToSequence(images));
  }

  torch::nn::Module& module() override { return *this; }

 private:
  std::shared_ptr<Transformer> transformer_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<Model>> MakeVit1d(const Vit1dOptions& options,
                                                 int num_labels) {
  if (options.dim < 1 || options.depth < 1 || options.heads < 1 ||
      options.dim % options.heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.vit1d: dim ", options.dim, " with ", options.heads,
                     " heads and depth ", options.depth,
                     ", expected a multiple of heads and at least one block"));
  }
  return std::make_shared<Vit1d>(options, num_labels);
}

}  // namespace foldfarm
