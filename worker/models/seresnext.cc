// Residual networks of bottlenecks with grouped convolutions (Xie et al.,
// Aggregated Residual Transformations, 2017) and squeeze and excitation (Hu et
// al., Squeeze-and-Excitation Networks, 2018), as timm 0.5.4's ResNet names and
// starts them; the defaults are its seresnext50_32x4d.
#include <torch/torch.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/models/architectures.h"
#include "worker/models/common.h"
#include "worker/models/image_classifier.h"

namespace foldfarm {
namespace {

// A block puts out this many times its planes.
constexpr int64_t kExpansion = 4;

// Planes to which base_width refers.
constexpr int64_t kBasePlanes = 64;

torch::nn::Conv2d Convolution(int64_t in, int64_t out, int64_t kernel,
                              int64_t stride = 1, int64_t groups = 1) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, kernel)
                               .stride(stride)
                               .padding(kernel / 2)
                               .groups(groups)
                               .bias(false));
}

// Weighs each channel by what all channels hold on average.
class SqueezeExcite : public torch::nn::Module {
 public:
  SqueezeExcite(int64_t channels, int64_t squeezed)
      : fc1_(register_module("fc1", torch::nn::Conv2d(torch::nn::Conv2dOptions(
                                        channels, squeezed, 1)))),
        fc2_(register_module("fc2", torch::nn::Conv2d(torch::nn::Conv2dOptions(
                                        squeezed, channels, 1)))) {}

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor mean = x.mean(at::IntArrayRef({2, 3}), /*keepdim=*/true);
    return x * fc2_->forward(fc1_->forward(mean).relu_()).sigmoid_();
  }

 private:
  torch::nn::Conv2d fc1_, fc2_;
};

class Bottleneck : public torch::nn::Module {
 public:
  Bottleneck(const SeresnextOptions& options, int64_t in, int64_t planes,
             int64_t stride) {
    const int64_t width =
        planes * options.base_width / kBasePlanes * options.cardinality;
    const int64_t out = planes * kExpansion;
    conv1_ = register_module("conv1", Convolution(in, width, 1));
    bn1_ = register_module("bn1", torch::nn::BatchNorm2d(width));
    conv2_ = register_module(
        "conv2", Convolution(width, width, 3, stride, options.cardinality));
    bn2_ = register_module("bn2", torch::nn::BatchNorm2d(width));
    conv3_ = register_module("conv3", Convolution(width, out, 1));
    bn3_ = register_module("bn3", torch::nn::BatchNorm2d(out));
    se_ = register_module(
        "se",
        std::make_shared<SqueezeExcite>(
            out, RoundChannels(static_cast<double>(out) * options.squeeze, 0)));
    if (stride != 1 || in != out) {
      downsample_ = register_module(
          "downsample", torch::nn::Sequential(Convolution(in, out, 1, stride),
                                              torch::nn::BatchNorm2d(out)));
    }
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor shortcut = downsample_ ? downsample_->forward(x) : x;
    at::Tensor y = bn1_->forward(conv1_->forward(x)).relu_();
    y = bn2_->forward(conv2_->forward(y)).relu_();
    y = bn3_->forward(conv3_->forward(y));
    return se_->forward(y).add_(shortcut).relu_();
  }

 private:
  torch::nn::Conv2d conv1_{nullptr}, conv2_{nullptr}, conv3_{nullptr};
  torch::nn::BatchNorm2d bn1_{nullptr}, bn2_{nullptr}, bn3_{nullptr};
  std::shared_ptr<SqueezeExcite> se_;
  torch::nn::Sequential downsample_{nullptr};
};

class SeresnextBackbone : public torch::nn::Module, public Backbone {
 public:
  SeresnextBackbone(const SeresnextOptions& options, int num_labels)
      : conv1_(register_module("conv1", Convolution(ImageChannels(options.form),
                                                    options.stem_width, 7, 2))),
        bn1_(register_module("bn1",
                             torch::nn::BatchNorm2d(options.stem_width))) {
    int64_t in = options.stem_width;
    for (size_t stage = 0; stage < options.layers.size(); ++stage) {
      const int64_t planes = options.planes[stage];
      torch::nn::Sequential blocks;
      for (int block = 0; block < options.layers[stage]; ++block) {
        const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
        blocks->push_back(
            std::make_shared<Bottleneck>(options, in, planes, stride));
        in = planes * kExpansion;
      }
      stages_.push_back(
          register_module(absl::StrCat("layer", stage + 1), blocks));
    }
    if (options.form == ClassifierForm::kSimpleCls3) {
      fc_ = register_module("fc", torch::nn::Linear(in, num_labels));
    }
    InitializeResidualNetwork(*this, ".bn3.weight");
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

absl::Status Check(const SeresnextOptions& options) {
  if (options.layers.empty() ||
      options.layers.size() != options.planes.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.seresnext: layers has ", options.layers.size(),
                     " stages and planes ", options.planes.size(),
                     ", expected the same number, at least 1"));
  }
  if (options.cardinality < 1 || options.base_width < 1 ||
      options.stem_width < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.seresnext: cardinality ", options.cardinality,
                     ", base_width ", options.base_width, " and stem_width ",
                     options.stem_width, ", expected at least 1 of each"));
  }
  for (size_t stage = 0; stage < options.layers.size(); ++stage) {
    const int planes = options.planes[stage];
    if (options.layers[stage] < 1 || planes < 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "arch.seresnext: stage ", stage + 1, " has ", options.layers[stage],
          " blocks of ", planes, " planes, expected at least 1 of each"));
    }
    if (int64_t{planes} * options.base_width < kBasePlanes) {
      return absl::InvalidArgumentError(
          absl::StrCat("arch.seresnext: planes ", planes, " with base_width ",
                       options.base_width, " leave a group ", planes, " * ",
                       options.base_width, " / ", kBasePlanes,
                       " channels, expected at least 1"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<Model>> MakeSeresnext(
    const SeresnextOptions& options, int num_labels) {
  FOLDFARM_RETURN_IF_ERROR(Check(options));
  const auto backbone =
      std::make_shared<SeresnextBackbone>(options, num_labels);
  return MakeImageClassifier(
      {.form = options.form,
       .head_dropout = options.head_dropout,
       .num_features = kExpansion * options.planes.back(),
       .num_labels = num_labels},
      backbone, backbone);
}

}  // namespace foldfarm
