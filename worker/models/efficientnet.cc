// EfficientNet (Tan & Le, EfficientNet: Rethinking Model Scaling, 2019) as timm
// 0.5.4 names and starts it; the defaults are its tf_efficientnet_b2_ns.
//
// "tf": a stride-2 convolution pads as TensorFlow does, the odd row and column
// at the end, and batch norm has TensorFlow's epsilon. In the simple_cls form
// the last map is the last block's; simple_cls3 widens it first ("conv_head").
#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/models/architectures.h"
#include "worker/models/common.h"
#include "worker/models/image_classifier.h"

namespace foldfarm {
namespace {

// A stage of EfficientNet-B0, before it is scaled.
struct Stage {
  int blocks;
  int kernel;
  int stride;
  int expansion;
  int channels;
};

constexpr Stage kStages[] = {
    {1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80},
    {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};
constexpr int kStemChannels = 32;
constexpr int kHeadChannels = 1280;

// Channels of a block's squeeze, as a share of its input's.
constexpr double kSqueeze = 0.25;

// Channels are rounded to multiples of 8, but not by more than a tenth down.
constexpr double kLeastShare = 0.9;

torch::nn::BatchNorm2d Norm(int64_t channels) {
  return torch::nn::BatchNorm2d(
      torch::nn::BatchNorm2dOptions(channels).eps(1e-3));
}

torch::nn::Conv2d Pointwise(int64_t in, int64_t out, bool bias = false) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 1).bias(bias));
}

// A convolution padded as TensorFlow's "SAME": as many outputs as
// ceil(inputs / stride), and where the padding is odd more of it at the end.
class SameConvolutionImpl : public torch::nn::Conv2dImpl {
 public:
  SameConvolutionImpl(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                      int64_t groups)
      : Conv2dImpl(torch::nn::Conv2dOptions(in, out, kernel)
                       .stride(stride)
                       .groups(groups)
                       .bias(false)),
        kernel_(kernel),
        stride_(stride),
        groups_(groups) {}

  at::Tensor forward(const at::Tensor& x) {
    const int64_t rows = Padding(x.size(2)), columns = Padding(x.size(3));
    const bool even = rows % 2 == 0 && columns % 2 == 0;
    const at::Tensor padded =
        even ? x
             : at::constant_pad_nd(x, {columns / 2, columns - columns / 2,
                                       rows / 2, rows - rows / 2});
    const int64_t pad_rows = even ? rows / 2 : 0;
    const int64_t pad_columns = even ? columns / 2 : 0;
    return at::conv2d(padded, weight, {}, {stride_, stride_},
                      {pad_rows, pad_columns}, {1, 1}, groups_);
  }

 private:
  int64_t Padding(int64_t size) const {
    const int64_t outputs = (size + stride_ - 1) / stride_;
    return std::max<int64_t>((outputs - 1) * stride_ + kernel_ - size, 0);
  }

  const int64_t kernel_, stride_, groups_;
};
TORCH_MODULE(SameConvolution);

// Weighs each channel by what all channels hold on average.
class SqueezeExcite : public torch::nn::Module {
 public:
  SqueezeExcite(int64_t channels, int64_t squeezed)
      : reduce_(register_module("conv_reduce",
                                Pointwise(channels, squeezed, true))),
        expand_(register_module("conv_expand",
                                Pointwise(squeezed, channels, true))) {}

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor mean = x.mean(at::IntArrayRef({2, 3}), /*keepdim=*/true);
    return x * expand_->forward(at::silu(reduce_->forward(mean))).sigmoid_();
  }

 private:
  torch::nn::Conv2d reduce_, expand_;
};

// An inverted bottleneck: widen, convolve each channel by itself, weigh,
// narrow. Without expansion there is nothing to widen.
class Block : public torch::nn::Module {
 public:
  Block(int64_t in, int64_t out, const Stage& stage, int64_t stride,
        double drop_path)
      : residual_(stride == 1 && in == out), drop_path_(drop_path) {
    const int64_t middle = in * stage.expansion;
    int norm = 0;
    const auto next_norm = [&](int64_t channels) {
      return register_module(absl::StrCat("bn", ++norm), Norm(channels));
    };
    const bool expand = stage.expansion != 1;
    if (expand) {
      widen_ = register_module("conv_pw", Pointwise(in, middle));
      widen_norm_ = next_norm(middle);
    }
    depthwise_ = register_module(
        "conv_dw",
        SameConvolution(middle, middle, stage.kernel, stride, middle));
    depthwise_norm_ = next_norm(middle);
    se_ = register_module(
        "se", std::make_shared<SqueezeExcite>(
                  middle, std::llround(static_cast<double>(in) * kSqueeze)));
    narrow_ = register_module(expand ? "conv_pwl" : "conv_pw",
                              Pointwise(middle, out));
    narrow_norm_ = next_norm(out);
  }

  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = x;
    if (widen_) y = at::silu(widen_norm_->forward(widen_->forward(y)));
    y = at::silu(depthwise_norm_->forward(depthwise_->forward(y)));
    y = narrow_norm_->forward(narrow_->forward(se_->forward(y)));
    return residual_ ? DropPath(y) + x : y;
  }

 private:
  // Skips the block for some samples (Huang et al., Deep Networks with
  // Stochastic Depth, 2016); the others make up for it.
  at::Tensor DropPath(const at::Tensor& y) const {
    if (drop_path_ == 0 || !is_training()) return y;
    const at::Tensor kept =
        at::empty({y.size(0), 1, 1, 1}, y.options()).bernoulli_(1 - drop_path_);
    return y * kept.div_(1 - drop_path_);
  }

  const bool residual_;
  const double drop_path_;
  torch::nn::Conv2d widen_{nullptr};
  torch::nn::BatchNorm2d widen_norm_{nullptr};
  SameConvolution depthwise_{nullptr};
  torch::nn::BatchNorm2d depthwise_norm_{nullptr};
  std::shared_ptr<SqueezeExcite> se_;
  torch::nn::Conv2d narrow_{nullptr};
  torch::nn::BatchNorm2d narrow_norm_{nullptr};
};

int64_t Channels(const EfficientnetOptions& options, int channels) {
  return RoundChannels(channels * options.width, kLeastShare);
}

int64_t Blocks(const EfficientnetOptions& options, const Stage& stage) {
  return static_cast<int64_t>(std::ceil(stage.blocks * options.depth));
}

class EfficientnetBackbone : public torch::nn::Module, public Backbone {
 public:
  EfficientnetBackbone(const EfficientnetOptions& options, int num_labels) {
    int64_t in = Channels(options, kStemChannels);
    stem_ = register_module(
        "conv_stem", SameConvolution(ImageChannels(options.form), in, 3, 2, 1));
    stem_norm_ = register_module("bn1", Norm(in));
    int64_t num_blocks = 0, block_index = 0;
    for (const Stage& stage : kStages) num_blocks += Blocks(options, stage);
    const auto list = register_module("blocks", torch::nn::ModuleList());
    for (const Stage& stage : kStages) {
      const int64_t out = Channels(options, stage.channels);
      torch::nn::Sequential blocks;
      for (int64_t block = 0; block < Blocks(options, stage); ++block) {
        const double depth = static_cast<double>(block_index++) /
                             static_cast<double>(num_blocks - 1);
        blocks->push_back(std::make_shared<Block>(in, out, stage,
                                                  block == 0 ? stage.stride : 1,
                                                  options.drop_path * depth));
        in = out;
      }
      list->push_back(blocks);
      stages_.push_back(blocks);
    }
    if (options.form == ClassifierForm::kSimpleCls3) {
      const int64_t out = Channels(options, kHeadChannels);
      head_ = register_module("conv_head", Pointwise(in, out));
      head_norm_ = register_module("bn2", Norm(out));
      classifier_ =
          register_module("classifier", torch::nn::Linear(out, num_labels));
    }
    Initialize();
  }

  at::Tensor Features(const at::Tensor& images) override {
    at::Tensor x = at::silu(stem_norm_->forward(stem_->forward(images)));
    for (torch::nn::Sequential& stage : stages_) x = stage->forward(x);
    return head_ ? at::silu(head_norm_->forward(head_->forward(x))) : x;
  }

  at::Tensor Classify(const at::Tensor& features) override {
    return classifier_->forward(features);
  }

 private:
  // Convolutions normal with variance 2 / fan out (fan out counts a group by
  // itself), the classifier uniform, biases zero.
  void Initialize() {
    const torch::NoGradGuard no_grad;
    for (const auto& module : modules(/*include_self=*/false)) {
      if (auto* convolution = module->as<torch::nn::Conv2dImpl>()) {
        const at::Tensor& weight = convolution->weight;
        const double fan_out =
            static_cast<double>(weight.numel() / weight.size(1)) /
            static_cast<double>(convolution->options.groups());
        convolution->weight.normal_(0, std::sqrt(2 / fan_out));
        if (convolution->bias.defined()) convolution->bias.zero_();
      } else if (auto* linear = module->as<torch::nn::LinearImpl>()) {
        const double range =
            1 / std::sqrt(static_cast<double>(linear->weight.size(0)));
        linear->weight.uniform_(-range, range);
        linear->bias.zero_();
      }
    }
  }

  SameConvolution stem_{nullptr};
  torch::nn::BatchNorm2d stem_norm_{nullptr};
  std::vector<torch::nn::Sequential> stages_;
  torch::nn::Conv2d head_{nullptr};
  torch::nn::BatchNorm2d head_norm_{nullptr};
  torch::nn::Linear classifier_{nullptr};
};

}  // namespace

absl::StatusOr<std::shared_ptr<Model>> MakeEfficientnet(
    const EfficientnetOptions& options, int num_labels) {
  // Wider or deeper than any of the published ones, B8 with 2.2 and 3.6.
  constexpr double kMost = 10;
  if (!(options.width > 0 && options.width <= kMost) ||
      !(options.depth > 0 && options.depth <= kMost)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "arch.efficientnet: width ", options.width, " and depth ",
        options.depth, ", expected factors above 0 and at most ", kMost));
  }
  const auto backbone =
      std::make_shared<EfficientnetBackbone>(options, num_labels);
  return MakeImageClassifier(
      {.form = options.form,
       .head_dropout = options.head_dropout,
       .num_features = Channels(options, std::end(kStages)[-1].channels),
       .num_labels = num_labels},
      backbone, backbone);
}

}  // namespace foldfarm
