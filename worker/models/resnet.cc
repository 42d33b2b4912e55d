// Residual networks of basic blocks (He et al., Deep Residual Learning for
// Image Recognition, 2016), as timm 0.5.4's ResNet names and starts them.
#include <torch/torch.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/models/architectures.h"
#include "worker/models/common.h"
#include "worker/models/image_classifier.h"

namespace foldfarm {
namespace {

torch::nn::Conv2d Convolution(int64_t in, int64_t out, int64_t kernel,
                              torch::ExpandingArray<2> stride) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, kernel)
                               .stride(stride)
                               .padding(kernel / 2)
                               .bias(false));
}

class BasicBlock : public torch::nn::Module {
 public:
  BasicBlock(int64_t in, int64_t out, int64_t stride)
      : conv1_(register_module("conv1", Convolution(in, out, 3, stride))),
        bn1_(register_module("bn1", torch::nn::BatchNorm2d(out))),
        conv2_(register_module("conv2", Convolution(out, out, 3, 1))),
        bn2_(register_module("bn2", torch::nn::BatchNorm2d(out))) {
    if (stride != 1 || in != out) {
      downsample_ = register_module(
          "downsample", torch::nn::Sequential(Convolution(in, out, 1, stride),
                                              torch::nn::BatchNorm2d(out)));
    }
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor shortcut = downsample_ ? downsample_->forward(x) : x;
    at::Tensor y = bn1_->forward(conv1_->forward(x)).relu_();
    y = bn2_->forward(conv2_->forward(y));
    return y.add_(shortcut).relu_();
  }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  torch::nn::Conv2d conv2_;
  torch::nn::BatchNorm2d bn2_;
  torch::nn::Sequential downsample_{nullptr};
};

class ResnetBackbone : public torch::nn::Module, public Backbone {
 public:
  ResnetBackbone(const ResnetOptions& options, int num_labels)
      : conv1_(register_module(
            "conv1",
            Convolution(ImageChannels(options.form), options.widths[0], 7,
                        {options.stem_stride[0], options.stem_stride[1]}))),
        bn1_(
            register_module("bn1", torch::nn::BatchNorm2d(options.widths[0]))) {
    int64_t in = options.widths[0];
    for (size_t stage = 0; stage < options.layers.size(); ++stage) {
      const int64_t out = options.widths[stage];
      torch::nn::Sequential blocks;
      for (int block = 0; block < options.layers[stage]; ++block) {
        const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
        blocks->push_back(std::make_shared<BasicBlock>(in, out, stride));
        in = out;
      }
      stages_.push_back(
          register_module(absl::StrCat("layer", stage + 1), blocks));
    }
    if (options.form == ClassifierForm::kSimpleCls3) {
      fc_ = register_module("fc", torch::nn::Linear(in, num_labels));
    }
    InitializeResidualNetwork(*this, ".bn2.weight");
  }

  at::Tensor Features(const at::Tensor& images) override {
    at::Tensor y = bn1_->forward(conv1_->forward(images)).relu_();
    y = at::max_pool2d(y, {3, 3}, {2, 2}, {1, 1});
    for (torch::nn::Sequential& stage : stages_) y = stage->forward(y);
    return y;
  }

  at::Tensor Classify(const at::Tensor& features) override {
    return fc_->forward(features);
  }

 private:
  torch::nn::Conv2d conv1_;
  torch::nn::BatchNorm2d bn1_;
  std::vector<torch::nn::Sequential> stages_;
  torch::nn::Linear fc_{nullptr};
};

}  // namespace

absl::StatusOr<std::shared_ptr<Model>> MakeResnet(const ResnetOptions& options,
                                                  int num_labels) {
  if (options.layers.empty() ||
      options.layers.size() != options.widths.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.resnet: layers has ", options.layers.size(),
                     " stages and widths ", options.widths.size(),
                     ", expected the same number, at least 1"));
  }
  for (size_t stage = 0; stage < options.layers.size(); ++stage) {
    if (options.layers[stage] < 1 || options.widths[stage] < 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "arch.resnet: stage ", stage + 1, " has ", options.layers[stage],
          " blocks of ", options.widths[stage],
          " channels, expected at least 1 of each"));
    }
  }
  if (options.stem_stride.size() != 2 || options.stem_stride[0] < 1 ||
      options.stem_stride[1] < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.resnet: stem_stride is [",
                     absl::StrJoin(options.stem_stride, ", "),
                     "], expected two numbers, at least 1"));
  }
  const auto backbone = std::make_shared<ResnetBackbone>(options, num_labels);
  return MakeImageClassifier({.form = options.form,
                              .head_dropout = options.head_dropout,
                              .num_features = options.widths.back(),
                              .num_labels = num_labels},
                             backbone, backbone);
}

}  // namespace foldfarm
