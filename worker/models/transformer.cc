#include "worker/models/transformer.h"

#include <torch/torch.h>

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace foldfarm {
namespace {

constexpr double kInitDeviation = 0.02;

torch::nn::LayerNorm Norm(int64_t dim) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({dim}).eps(1e-6));
}

int64_t MlpWidth(const TransformerOptions& options) {
  return static_cast<int64_t>(static_cast<double>(options.dim) *
                              options.mlp_ratio);
}

// From so many tokens on the CPU computes attention slice by slice.
constexpr int64_t kManyTokens = 256;

// softmax(q k^T) v for [slices, tokens, width] each, a slice (one head of one
// image) at a time, so that its scores stay in the cache. Scores are not kept
// for the backward pass but computed again: a thousand tokens with sixteen
// heads would keep 64 MB a layer and image.
class SlicedAttention : public torch::autograd::Function<SlicedAttention> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const at::Tensor& q, const at::Tensor& k,
                            const at::Tensor& v) {
    const NoAutocast no_autocast;
    context->save_for_backward({q, k, v});
    at::Tensor mixed = at::empty_like(v);
    for (int64_t slice = 0; slice < q.size(0); ++slice) {
      at::Tensor out = mixed[slice];
      at::mm_out(out, Weights(q[slice], k[slice]).to(v.dtype()), v[slice]);
    }
    return mixed;
  }

  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* context,
      const torch::autograd::variable_list& gradients) {
    const NoAutocast no_autocast;
    const auto saved = context->get_saved_variables();
    const at::Tensor &q = saved[0], &k = saved[1], &v = saved[2];
    const at::Tensor d_mixed = gradients[0].to(v.dtype()).contiguous();
    at::Tensor d_q = at::empty_like(q), d_k = at::empty_like(k),
               d_v = at::empty_like(v);
    for (int64_t slice = 0; slice < q.size(0); ++slice) {
      const at::Tensor weights = Weights(q[slice], k[slice]);
      at::Tensor out = d_v[slice];
      at::mm_out(out, weights.to(v.dtype()).t(), d_mixed[slice]);
      const at::Tensor d_weights = at::mm(d_mixed[slice], v[slice].t());
      const at::Tensor d_scores =
          at::_softmax_backward_data(d_weights.to(at::kFloat), weights, -1,
                                     at::kFloat)
              .to(q.dtype());
      out = d_q[slice];
      at::mm_out(out, d_scores, k[slice]);
      out = d_k[slice];
      at::mm_out(out, d_scores.t(), q[slice]);
    }
    return {d_q, d_k, d_v};
  }

 private:
  // Autocast chose the inputs' type; within a slice it would only cast anew.
  struct NoAutocast {
    c10::impl::ExcludeDispatchKeyGuard guard{c10::DispatchKey::AutocastCPU};
  };

  static at::Tensor Weights(const at::Tensor& q, const at::Tensor& k) {
    return at::softmax(at::mm(q, k.t()), -1, at::kFloat);
  }
};

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
    const at::Tensor mixed = Mix(qkv[0] * scale, qkv[1], qkv[2])
                                 .transpose(1, 2)
                                 .reshape({batch, tokens, dim});
    return at::dropout(proj_->forward(mixed), dropout_, is_training());
  }

 private:
  // softmax(q k^T) v, all [batch, heads, tokens, width].
  static at::Tensor Mix(const at::Tensor& q, const at::Tensor& k,
                        const at::Tensor& v) {
    if (q.is_cuda() || q.size(2) < kManyTokens) {
      return at::matmul(at::matmul(q, k.transpose(-2, -1)).softmax(-1), v);
    }
    return SlicedAttention::apply(q.flatten(0, 1).contiguous(),
                                  k.flatten(0, 1).contiguous(),
                                  v.flatten(0, 1).contiguous())
        .view(v.sizes());
  }

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
  explicit Block(const TransformerOptions& options)
      : norm1_(register_module("norm1", Norm(options.dim))),
        attention_(register_module(
            "attn", std::make_shared<Attention>(options.dim, options.heads,
                                                options.dropout))),
        norm2_(register_module("norm2", Norm(options.dim))),
        mlp_(register_module(
            "mlp", std::make_shared<Mlp>(options.dim, MlpWidth(options),
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

class Transformer : public torch::nn::Module {
 public:
  Transformer(const TransformerOptions& options,
              std::shared_ptr<PatchEmbedding> embedding,
              std::shared_ptr<torch::nn::Module> module, int num_labels)
      : dropout_(options.dropout), embedding_(std::move(embedding)) {
    cls_token_ =
        register_parameter("cls_token", at::zeros({1, 1, options.dim}));
    pos_embed_ = register_parameter(
        "pos_embed", at::zeros({1, options.tokens + 1, options.dim}));
    register_module("patch_embed", std::move(module));
    blocks_ = register_module("blocks", torch::nn::Sequential());
    for (int block = 0; block < options.depth; ++block) {
      blocks_->push_back(std::make_shared<Block>(options));
    }
    norm_ = register_module("norm", Norm(options.dim));
    head_ = register_module("head", torch::nn::Linear(options.dim, num_labels));
    Initialize();
  }

  at::Tensor forward(const at::Tensor& images) {
    at::Tensor x = embedding_->Embed(images);
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
  const std::shared_ptr<PatchEmbedding> embedding_;
  at::Tensor cls_token_, pos_embed_;
  torch::nn::Sequential blocks_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
  torch::nn::Linear head_{nullptr};
};

// Puts the transformer under "base_model".
class TransformerModel : public torch::nn::Module, public Model {
 public:
  explicit TransformerModel(std::shared_ptr<Transformer> transformer)
      : transformer_(register_module("base_model", std::move(transformer))) {}

  at::Tensor Forward(const at::Tensor& images) override {
    return transformer_->forward(images);
  }

  torch::nn::Module& module() override { return *this; }

 private:
  const std::shared_ptr<Transformer> transformer_;
};

}  // namespace

absl::Status CheckTransformer(absl::string_view where,
                              const TransformerOptions& options) {
  if (options.dim < 1 || options.depth < 1 || options.heads < 1 ||
      options.dim % options.heads != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": dim ", options.dim, " with ", options.heads,
                     " heads and depth ", options.depth,
                     ", expected a multiple of heads and at least one block"));
  }
  if (!(options.mlp_ratio > 0) || MlpWidth(options) < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": mlp_ratio ", options.mlp_ratio, " of dim ",
                     options.dim, ", expected at least one hidden unit"));
  }
  return absl::OkStatus();
}

std::shared_ptr<Model> MakeTransformer(
    const TransformerOptions& options,
    std::shared_ptr<PatchEmbedding> embedding,
    std::shared_ptr<torch::nn::Module> module, int num_labels) {
  return std::make_shared<TransformerModel>(std::make_shared<Transformer>(
      options, std::move(embedding), std::move(module), num_labels));
}

}  // namespace foldfarm
