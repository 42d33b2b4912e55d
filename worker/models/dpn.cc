// Dual path networks (Chen et al., Dual Path Networks, 2017) as timm 0.5.4
// names and starts them; the defaults are its dpn68b.
//
// Two paths run side by side: a residual one, to which every block adds, and a
// dense one, to which every block appends. In the simple_cls form the last map
// is both paths as they are; in simple_cls3 it is normalized first.
#include <torch/torch.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/models/architectures.h"
#include "worker/models/image_classifier.h"

namespace foldfarm {
namespace {

constexpr size_t kStages = 4;

torch::nn::Conv2d Convolution(int64_t in, int64_t out, int64_t kernel,
                              int64_t stride = 1, int64_t groups = 1) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, kernel)
                               .stride(stride)
                               .padding(kernel / 2)
                               .groups(groups)
                               .bias(false));
}

torch::nn::BatchNorm2d Norm(int64_t channels) {
  return torch::nn::BatchNorm2d(
      torch::nn::BatchNorm2dOptions(channels).eps(1e-3));
}

// Holds "bn", which is followed by ReLU.
class NormAct : public torch::nn::Module {
 public:
  explicit NormAct(int64_t channels)
      : bn_(register_module("bn", Norm(channels))) {}

  at::Tensor forward(const at::Tensor& x) { return bn_->forward(x).relu_(); }
  at::Tensor Elu(const at::Tensor& x) { return at::elu(bn_->forward(x)); }

 private:
  torch::nn::BatchNorm2d bn_;
};

class NormActConvolution : public torch::nn::Module {
 public:
  NormActConvolution(int64_t in, int64_t out, int64_t kernel,
                     int64_t stride = 1, int64_t groups = 1)
      : bn_(register_module("bn", Norm(in))),
        conv_(register_module("conv",
                              Convolution(in, out, kernel, stride, groups))) {}

  at::Tensor forward(const at::Tensor& x) {
    return conv_->forward(bn_->forward(x).relu_());
  }

 private:
  torch::nn::BatchNorm2d bn_;
  torch::nn::Conv2d conv_;
};

// The stem: "conv", then "bn" and ReLU.
class Stem : public torch::nn::Module {
 public:
  Stem(int64_t in, int64_t out)
      : conv_(register_module("conv", Convolution(in, out, 3, 2))),
        bn_(register_module("bn", Norm(out))) {}

  at::Tensor forward(const at::Tensor& x) {
    return bn_->forward(conv_->forward(x)).relu_();
  }

 private:
  torch::nn::Conv2d conv_;
  torch::nn::BatchNorm2d bn_;
};

// [B, residual, H, W] and [B, dense, H, W].
using Paths = std::pair<at::Tensor, at::Tensor>;

struct BlockShape {
  int64_t in;        // Channels of both paths together.
  int64_t width;     // Of the grouped convolution.
  int64_t residual;  // Channels of the residual path.
  int64_t increment;
  int64_t groups;
  int64_t stride;
  bool first;  // Of its stage: both paths start from a projection.
};

class DualPathBlock : public torch::nn::Module {
 public:
  explicit DualPathBlock(const BlockShape& shape) : residual_(shape.residual) {
    if (shape.first) {
      projection_ = register_module(
          absl::StrCat("c1x1_w_s", shape.stride),
          std::make_shared<NormActConvolution>(
              shape.in, shape.residual + 2 * shape.increment, 1, shape.stride));
    }
    c1x1_a_ = register_module("c1x1_a", std::make_shared<NormActConvolution>(
                                            shape.in, shape.width, 1));
    c3x3_b_ = register_module(
        "c3x3_b", std::make_shared<NormActConvolution>(
                      shape.width, shape.width, 3, shape.stride, shape.groups));
    c1x1_c_ = register_module("c1x1_c", std::make_shared<NormAct>(shape.width));
    c1x1_c1_ =
        register_module("c1x1_c1", Convolution(shape.width, shape.residual, 1));
    c1x1_c2_ = register_module("c1x1_c2",
                               Convolution(shape.width, shape.increment, 1));
  }

  Paths forward(const Paths& paths) {
    const auto& [residual, dense] = paths;
    const at::Tensor x =
        dense.defined() ? at::cat({residual, dense}, 1) : residual;
    Paths from = paths;
    if (projection_) {
      const at::Tensor projected = projection_->forward(x);
      from.first = projected.narrow(1, 0, residual_);
      from.second =
          projected.narrow(1, residual_, projected.size(1) - residual_);
    }
    const at::Tensor y =
        c1x1_c_->forward(c3x3_b_->forward(c1x1_a_->forward(x)));
    return {c1x1_c1_->forward(y).add_(from.first),
            at::cat({from.second, c1x1_c2_->forward(y)}, 1)};
  }

 private:
  const int64_t residual_;
  std::shared_ptr<NormActConvolution> projection_, c1x1_a_, c3x3_b_;
  std::shared_ptr<NormAct> c1x1_c_;
  torch::nn::Conv2d c1x1_c1_{nullptr}, c1x1_c2_{nullptr};
};

int64_t ResidualChannels(const DpnOptions& options, size_t stage) {
  return int64_t{options.residual} << stage;
}

// Of both paths after a stage. Its first block starts the dense path with two
// increments.
int64_t StageChannels(const DpnOptions& options, size_t stage) {
  return ResidualChannels(options, stage) +
         int64_t{options.increments[stage]} * (options.layers[stage] + 2);
}

class DpnBackbone : public torch::nn::Module, public Backbone {
 public:
  DpnBackbone(const DpnOptions& options, int num_labels) {
    // timm's network with a classifier keeps its parts under "features."; the
    // one for feature maps is flat, "features_".
    const bool flat = options.form == ClassifierForm::kSimpleCls;
    torch::nn::Module& holder =
        flat ? *this
             : *register_module("features",
                                std::make_shared<torch::nn::Module>());
    const auto add = [&](const std::string& name, const auto& part) {
      return holder.register_module(flat ? "features_" + name : name, part);
    };
    stem_ = add("conv1_1", std::make_shared<Stem>(ImageChannels(options.form),
                                                  options.stem_width));
    BlockShape shape = {.in = options.stem_width, .groups = options.groups};
    for (size_t stage = 0; stage < kStages; ++stage) {
      shape.width = int64_t{options.bottleneck} << stage;
      shape.residual = ResidualChannels(options, stage);
      shape.increment = options.increments[stage];
      for (int block = 0; block < options.layers[stage]; ++block) {
        shape.first = block == 0;
        shape.stride = shape.first && stage > 0 ? 2 : 1;
        blocks_.push_back(add(absl::StrCat("conv", stage + 2, "_", block + 1),
                              std::make_shared<DualPathBlock>(shape)));
        shape.in = StageChannels(options, stage) -
                   shape.increment * (options.layers[stage] - block - 1);
      }
    }
    if (!flat) {
      last_norm_ = add("conv5_bn_ac", std::make_shared<NormAct>(shape.in));
      classifier_ = register_module(
          "classifier",
          torch::nn::Conv2d(torch::nn::Conv2dOptions(shape.in, num_labels, 1)));
    }
  }

  at::Tensor Features(const at::Tensor& images) override {
    Paths paths;
    paths.first =
        at::max_pool2d(stem_->forward(images), {3, 3}, {2, 2}, {1, 1});
    for (const auto& block : blocks_) paths = block->forward(paths);
    const at::Tensor map = at::cat({paths.first, paths.second}, 1);
    return last_norm_ ? last_norm_->Elu(map) : map;
  }

  at::Tensor Classify(const at::Tensor& features) override {
    return classifier_->forward(features.unsqueeze(2).unsqueeze(3)).flatten(1);
  }

 private:
  std::shared_ptr<Stem> stem_;
  std::vector<std::shared_ptr<DualPathBlock>> blocks_;
  std::shared_ptr<NormAct> last_norm_;
  torch::nn::Conv2d classifier_{nullptr};
};

absl::Status Check(const DpnOptions& options) {
  if (options.layers.size() != kStages ||
      options.increments.size() != kStages) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.dpn: layers has ", options.layers.size(),
                     " stages and increments ", options.increments.size(),
                     ", expected ", kStages, " of each"));
  }
  for (size_t stage = 0; stage < kStages; ++stage) {
    if (options.layers[stage] < 1 || options.increments[stage] < 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "arch.dpn: stage ", stage + 1, " has ", options.layers[stage],
          " blocks that add ", options.increments[stage],
          " channels each, expected at least 1 of each"));
    }
  }
  if (options.stem_width < 1 || options.residual < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "arch.dpn: stem_width ", options.stem_width, " and residual ",
        options.residual, ", expected at least 1 of each"));
  }
  if (options.groups < 1 || options.bottleneck < 1 ||
      options.bottleneck % options.groups != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.dpn: bottleneck ", options.bottleneck, " with ",
                     options.groups, " groups, expected a multiple of groups"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<Model>> MakeDpn(const DpnOptions& options,
                                               int num_labels) {
  FOLDFARM_RETURN_IF_ERROR(Check(options));
  const auto backbone = std::make_shared<DpnBackbone>(options, num_labels);
  return MakeImageClassifier(
      {.form = options.form,
       .head_dropout = options.head_dropout,
       .num_features = StageChannels(options, kStages - 1),
       .num_labels = num_labels},
      backbone, backbone);
}

}  // namespace foldfarm
