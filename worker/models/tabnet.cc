// Attentive tables: in each of a few steps a mask chooses among the features of
// an image (band_features.h), and what was chosen adds to the decision.
//
//   x = norm(features); prior = 1; attended = attention part of F_0(x)
//   each step i:  M = sparse mask(A_i(attended) * prior)     rows sum to 1
//                 prior = prior * (relaxation - M)
//                 decision part, attended = F_i(M * x)
//                 sum += relu(decision part)
//   logits = W sum + b
// F_0, F_i: gated layers, some shared by all, some each step's own; every one
// but the first adds to what it got, times sqrt(0.5). A_i: one linear layer.
// All normalize over parts of the batch. The masks' entropy is a penalty.
//
// Names as in pytorch-tabnet, under "tabnet.": a layer that steps share is
// stored once, where F_0 has it. Unlike there, the last layer has a bias.
//
// Source: Arik & Pfister 2021, "TabNet: Attentive Interpretable Tabular
// Learning".
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/models/architectures.h"
#include "worker/models/band_features.h"
#include "worker/models/ghost_norm.h"
#include "worker/models/sparse_mask.h"

namespace foldfarm {
namespace {

constexpr double kResidualScale = 0.70710678118654752;  // sqrt(0.5)
constexpr double kTinyMask = 1e-15;

// A linear layer without bias, Xavier-normal with pytorch-tabnet's gains.
torch::nn::Linear MakeLinear(int64_t inputs, int64_t outputs, bool gated) {
  torch::nn::Linear linear(
      torch::nn::LinearOptions(inputs, outputs).bias(false));
  const double share = static_cast<double>(inputs + outputs) /
                       std::sqrt(static_cast<double>(inputs));
  torch::nn::init::xavier_normal_(linear->weight,
                                  std::sqrt(gated ? share : share / 2));
  return linear;
}

// Batch norm over parts of a batch, as "bn".
class NormImpl : public torch::nn::Module {
 public:
  NormImpl(int64_t size, const TabnetOptions& options)
      : virtual_batch_(options.virtual_batch),
        bn_(register_module(
            "bn",
            torch::nn::BatchNorm1d(torch::nn::BatchNorm1dOptions(size).momentum(
                options.momentum)))) {}

  at::Tensor forward(const at::Tensor& x) {
    return GhostNorm(*bn_, x, virtual_batch_);
  }

 private:
  const int64_t virtual_batch_;
  torch::nn::BatchNorm1d bn_;
};
TORCH_MODULE(Norm);

// A gated linear unit: half of the outputs gates the other half.
class GatedLayerImpl : public torch::nn::Module {
 public:
  // `owned`: stores the linear layer; otherwise another layer does.
  GatedLayerImpl(torch::nn::Linear fc, bool owned, const TabnetOptions& options)
      : fc_(std::move(fc)) {
    if (owned) register_module("fc", fc_);
    bn_ = register_module("bn", Norm(fc_->weight.size(0), options));
  }

  at::Tensor forward(const at::Tensor& x) {
    return at::glu(bn_->forward(fc_->forward(x)), 1);
  }

 private:
  torch::nn::Linear fc_;
  Norm bn_{nullptr};
};
TORCH_MODULE(GatedLayer);

// Gated layers one after the other, as "glu_layers".
class GatedBlockImpl : public torch::nn::Module {
 public:
  GatedBlockImpl(const std::vector<torch::nn::Linear>& layers, bool owned,
                 bool first, const TabnetOptions& options)
      : first_(first) {
    torch::nn::ModuleList list;
    for (const torch::nn::Linear& fc : layers) {
      layers_.emplace_back(fc, owned, options);
      list->push_back(layers_.back());
    }
    register_module("glu_layers", list);
  }

  at::Tensor forward(at::Tensor x) {
    for (size_t i = 0; i < layers_.size(); ++i) {
      const at::Tensor y = layers_[i]->forward(x);
      x = first_ && i == 0 ? y : (x + y) * kResidualScale;
    }
    return x;
  }

 private:
  const bool first_;  // Its input has another width than its layers.
  std::vector<GatedLayer> layers_;
};
TORCH_MODULE(GatedBlock);

// F: the shared layers, then its own.
class FeatureTransformerImpl : public torch::nn::Module {
 public:
  FeatureTransformerImpl(const std::vector<torch::nn::Linear>& shared,
                         bool owns_shared, int64_t inputs,
                         const TabnetOptions& options) {
    const int64_t width = options.decision + options.attention;
    if (!shared.empty()) {
      shared_ = register_module(
          "shared", GatedBlock(shared, owns_shared, /*first=*/true, options));
    }
    if (options.step_layers == 0) return;
    std::vector<torch::nn::Linear> own;
    for (int i = 0; i < options.step_layers; ++i) {
      own.push_back(MakeLinear(shared.empty() && i == 0 ? inputs : width,
                               2 * width, /*gated=*/true));
    }
    specifics_ = register_module(
        "specifics",
        GatedBlock(own, /*owned=*/true, /*first=*/shared.empty(), options));
  }

  at::Tensor forward(at::Tensor x) {
    if (shared_) x = shared_->forward(x);
    if (specifics_) x = specifics_->forward(x);
    return x;
  }

 private:
  GatedBlock shared_{nullptr}, specifics_{nullptr};
};
TORCH_MODULE(FeatureTransformer);

// A: what the next mask is made of.
class AttentiveTransformerImpl : public torch::nn::Module {
 public:
  AttentiveTransformerImpl(int64_t outputs, const TabnetOptions& options)
      : mask_(options.mask),
        fc_(register_module(
            "fc", MakeLinear(options.attention, outputs, /*gated=*/false))),
        bn_(register_module("bn", Norm(outputs, options))) {}

  at::Tensor forward(const at::Tensor& attended, const at::Tensor& prior) {
    const at::Tensor scores =
        bn_->forward(fc_->forward(attended)).to(at::kFloat) * prior;
    return mask_ == TabnetMask::kEntmax ? Entmax15(scores) : Sparsemax(scores);
  }

 private:
  const TabnetMask mask_;
  torch::nn::Linear fc_;
  Norm bn_;
};
TORCH_MODULE(AttentiveTransformer);

class EncoderImpl : public torch::nn::Module {
 public:
  EncoderImpl(int64_t inputs, const TabnetOptions& options)
      : options_(options) {
    initial_bn_ = register_module(
        "initial_bn",
        torch::nn::BatchNorm1d(
            torch::nn::BatchNorm1dOptions(inputs).momentum(options.momentum)));
    const int64_t width = options.decision + options.attention;
    std::vector<torch::nn::Linear> shared;
    for (int i = 0; i < options.shared_layers; ++i) {
      shared.push_back(
          MakeLinear(i == 0 ? inputs : width, 2 * width, /*gated=*/true));
    }
    initial_splitter_ = register_module(
        "initial_splitter",
        FeatureTransformer(shared, /*owns_shared=*/true, inputs, options));
    torch::nn::ModuleList features, attentions;
    for (int i = 0; i < options.steps; ++i) {
      features_.emplace_back(shared, /*owns_shared=*/false, inputs, options);
      features->push_back(features_.back());
      attentions_.emplace_back(inputs, options);
      attentions->push_back(attentions_.back());
    }
    register_module("feat_transformers", features);
    register_module("att_transformers", attentions);
  }

  // Returns the sum of the decisions; sets the mean entropy of the masks.
  at::Tensor forward(const at::Tensor& features, at::Tensor& entropy) {
    const at::Tensor x = initial_bn_->forward(features);
    at::Tensor prior = at::ones_like(x);
    at::Tensor attended = Attended(initial_splitter_->forward(x));
    at::Tensor sum;
    entropy = at::Tensor();
    for (int i = 0; i < options_.steps; ++i) {
      const at::Tensor mask = attentions_[i]->forward(attended, prior);
      const at::Tensor its_entropy =
          mask.mul((mask + kTinyMask).log()).sum(1).mean().neg();
      entropy = entropy.defined() ? entropy + its_entropy : its_entropy;
      prior = prior * (options_.relaxation - mask);
      const at::Tensor y = features_[i]->forward(mask * x);
      const at::Tensor decision = y.narrow(1, 0, options_.decision).relu();
      sum = sum.defined() ? sum + decision : decision;
      attended = Attended(y);
    }
    entropy = entropy / static_cast<double>(options_.steps);
    return sum;
  }

 private:
  at::Tensor Attended(const at::Tensor& y) const {
    return y.narrow(1, options_.decision, options_.attention);
  }

  const TabnetOptions options_;
  torch::nn::BatchNorm1d initial_bn_{nullptr};
  FeatureTransformer initial_splitter_{nullptr};
  std::vector<FeatureTransformer> features_;
  std::vector<AttentiveTransformer> attentions_;
};
TORCH_MODULE(Encoder);

class NetworkImpl : public torch::nn::Module {
 public:
  NetworkImpl(int64_t inputs, const TabnetOptions& options, int num_labels)
      : encoder(register_module("encoder", Encoder(inputs, options))),
        final_mapping(register_module(
            "final_mapping", torch::nn::Linear(options.decision, num_labels))) {
  }

  Encoder encoder;
  torch::nn::Linear final_mapping;
};
TORCH_MODULE(Network);

class Tabnet : public torch::nn::Module, public Model {
 public:
  Tabnet(BandFeatures features, const TabnetOptions& options, int num_labels)
      : features_(std::move(features)), sparsity_(options.sparsity) {
    network_ = register_module("tabnet",
                               Network(features_.size(), options, num_labels));
  }

  at::Tensor Forward(const at::Tensor& images) override {
    return network_->final_mapping->forward(
        network_->encoder->forward(features_.Compute(images), entropy_));
  }

  at::Tensor AuxiliaryLoss() override {
    if (sparsity_ == 0 || !entropy_.defined()) return {};
    return std::exchange(entropy_, {}) * sparsity_;
  }

  torch::nn::Module& module() override { return *this; }

 private:
  const BandFeatures features_;
  const double sparsity_;
  Network network_{nullptr};
  at::Tensor entropy_;
};

}  // namespace

at::Tensor GhostNorm(torch::nn::BatchNorm1dImpl& norm, const at::Tensor& x,
                     int64_t virtual_batch) {
  const int64_t rows = x.size(0);
  // Fewer than two rows have no variance.
  const int64_t parts =
      std::clamp<int64_t>((rows + virtual_batch - 1) / virtual_batch, 1,
                          std::max<int64_t>(rows / 2, 1));
  if (!norm.is_training() || parts == 1) return norm.forward(x);
  std::vector<at::Tensor> normalized;
  for (const at::Tensor& part : x.tensor_split(parts, 0)) {
    normalized.push_back(norm.forward(part));
  }
  return at::cat(normalized);
}

absl::StatusOr<std::shared_ptr<Model>> MakeTabnet(const TabnetOptions& options,
                                                  int num_labels) {
  if (options.decision < 1 || options.attention < 1 || options.steps < 1 ||
      options.shared_layers < 0 || options.step_layers < 0 ||
      options.shared_layers + options.step_layers < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "arch.tabnet: decision ", options.decision, ", attention ",
        options.attention, ", steps ", options.steps, ", ",
        options.shared_layers, " shared and ", options.step_layers,
        " own layers a step, expected at least 1 of each, of layers in all"));
  }
  if (options.virtual_batch < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.tabnet: virtual_batch is ", options.virtual_batch,
                     ", expected at least 2"));
  }
  FOLDFARM_ASSIGN_OR_RETURN(BandFeatures features,
                            BandFeatures::Create(options.features));
  return std::make_shared<Tabnet>(std::move(features), options, num_labels);
}

}  // namespace foldfarm
