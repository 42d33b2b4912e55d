#include "worker/models/image_classifier.h"

#include <torch/torch.h>

#include <utility>

namespace foldfarm {
namespace {

// [B, 1, 100, 80] to [B, 3, 100, 80]: the image, column / 80, row / 100.
at::Tensor WithCoordinates(const at::Tensor& x) {
  const int64_t rows = x.size(2), columns = x.size(3);
  const auto axis = [&](int64_t size) {
    return at::arange(size, x.options()).div_(static_cast<double>(size));
  };
  return at::cat({x, axis(columns).view({1, 1, 1, columns}).expand_as(x),
                  axis(rows).view({1, 1, rows, 1}).expand_as(x)},
                 1);
}

class ImageClassifier : public torch::nn::Module, public Model {
 public:
  ImageClassifier(const ImageClassifierOptions& options,
                  std::shared_ptr<Backbone> backbone,
                  std::shared_ptr<torch::nn::Module> module)
      : form_(options.form),
        head_dropout_(options.head_dropout),
        backbone_(std::move(backbone)) {
    register_module("base_model", std::move(module));
    if (form_ == ClassifierForm::kSimpleCls) {
      fc_ = register_module("fc", torch::nn::Linear(2 * options.num_features,
                                                    options.num_labels));
    }
  }

  at::Tensor Forward(const at::Tensor& images) override {
    at::Tensor x = images.unsqueeze(1);
    if (form_ == ClassifierForm::kSimpleCls3) x = WithCoordinates(x);
    const at::Tensor map =
        backbone_->Features(x.contiguous(at::MemoryFormat::ChannelsLast));
    at::Tensor features = map.mean(at::IntArrayRef({2, 3}));
    if (form_ == ClassifierForm::kSimpleCls) {
      features = at::cat({features, map.amax(at::IntArrayRef({2, 3}))}, 1);
    }
    features = at::dropout(features, head_dropout_, is_training());
    return fc_ ? fc_->forward(features) : backbone_->Classify(features);
  }

  torch::nn::Module& module() override { return *this; }

 private:
  const ClassifierForm form_;
  const double head_dropout_;
  const std::shared_ptr<Backbone> backbone_;
  torch::nn::Linear fc_{nullptr};
};

}  // namespace

int64_t ImageChannels(ClassifierForm form) {
  return form == ClassifierForm::kSimpleCls3 ? 3 : 1;
}

std::shared_ptr<Model> MakeImageClassifier(
    const ImageClassifierOptions& options, std::shared_ptr<Backbone> backbone,
    std::shared_ptr<torch::nn::Module> module) {
  return std::make_shared<ImageClassifier>(options, std::move(backbone),
                                           std::move(module));
}

}  // namespace foldfarm
