// A residual 1-D convolutional network over the 80 temperatures, with the 100
// m/z and the column's place as input channels.
//
// A stem convolution, then stages of basic blocks; every stage but the first
// halves the temperature axis. Average and maximum over temperature feed one
// linear layer.
#include <torch/torch.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "worker/models/architectures.h"
#include "worker/models/common.h"

namespace foldfarm {
namespace {

torch::nn::Conv1d Convolution(int64_t in, int64_t out, int64_t kernel,
                              int64_t stride) {
  return torch::nn::Conv1d(torch::nn::Conv1dOptions(in, out, kernel)
                               .stride(stride)
                               .padding(kernel / 2)
                               .bias(false));
}

class Block : public torch::nn::Module {
 public:
  Block(int64_t in, int64_t out, int64_t kernel, int64_t stride, double dropout)
      : dropout_(dropout),
        conv1_(register_module("conv1", Convolution(in, out, kernel, stride))),
        bn1_(register_module("bn1", torch::nn::BatchNorm1d(out))),
        conv2_(register_module("conv2", Convolution(out, out, kernel, 1))),
        bn2_(register_module("bn2", torch::nn::BatchNorm1d(out))) {
    if (stride != 1 || in != out) {
      downsample_ = register_module(
          "downsample", torch::nn::Sequential(Convolution(in, out, 1, stride),
                                              torch::nn::BatchNorm1d(out)));
    }
  }

  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor shortcut = downsample_ ? downsample_->forward(x) : x;
    at::Tensor y = bn1_->forward(conv1_->forward(x)).relu_();
    y = at::dropout(y, dropout_, is_training());
    y = bn2_->forward(conv2_->forward(y));
    return y.add_(shortcut).relu_();
  }

 private:
  const double dropout_;
  torch::nn::Conv1d conv1_;
  torch::nn::BatchNorm1d bn1_;
  torch::nn::Conv1d conv2_;
  torch::nn::BatchNorm1d bn2_;
  torch::nn::Sequential downsample_{nullptr};
};

class Conv1d : public torch::nn::Module, public Model {
 public:
  Conv1d(const Conv1dOptions& options, int num_labels)
      : head_dropout_(options.head_dropout),
        conv1_(register_module("conv1",
                               Convolution(kSequenceFeatures, options.stem,
                                           options.stem_kernel, 1))),
        bn1_(register_module("bn1", torch::nn::BatchNorm1d(options.stem))) {
    int64_t in = options.stem;
    for (size_t stage = 0; stage < options.widths.size(); ++stage) {
      const int64_t out = options.widths[stage];
      torch::nn::Sequential blocks;
      for (int block = 0; block < options.blocks; ++block) {
        const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
        blocks->push_back(std::make_shared<Block>(in, out, options.kernel,
                                                  stride, options.dropout));
        in = out;
      }
      stages_.push_back(
          register_module(absl::StrCat("layer", stage + 1), blocks));
    }
    fc_ = register_module("fc", torch::nn::Linear(2 * in, num_labels));
    InitializeResidualNetwork(*this, ".bn2.weight");
  }

  at::Tensor Forward(const at::Tensor& images) override {
    at::Tensor x = ToSequence(images).transpose(1, 2).contiguous();
    x = bn1_->forward(conv1_->forward(x)).relu_();
    for (torch::nn::Sequential& stage : stages_) x = stage->forward(x);
    x = at::cat({x.mean(2), x.amax(2)}, 1);
    return fc_->forward(at::dropout(x, head_dropout_, is_training()));
  }

  torch::nn::Module& module() override { return *this; }

 private:
  const double head_dropout_;
  torch::nn::Conv1d conv1_;
  torch::nn::BatchNorm1d bn1_;
  std::vector<torch::nn::Sequential> stages_;
  torch::nn::Linear fc_{nullptr};
};

}  // namespace

absl::StatusOr<std::shared_ptr<Model>> MakeConv1d(const Conv1dOptions& options,
                                                  int num_labels) {
  if (options.widths.empty() || options.blocks < 1 || options.stem < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.conv1d: ", options.widths.size(), " stages of ",
                     options.blocks, " blocks after a stem of ", options.stem,
                     " channels, expected at least 1 of each"));
  }
  if (options.kernel % 2 != 1 || options.stem_kernel % 2 != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("arch.conv1d: kernels of ", options.stem_kernel, " and ",
                     options.kernel, " columns, expected odd numbers"));
  }
  for (const int width : options.widths) {
    if (width < 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          "arch.conv1d: widths holds ", width, ", expected at least 1"));
    }
  }
  return std::make_shared<Conv1d>(options, num_labels);
}

}  // namespace foldfarm
