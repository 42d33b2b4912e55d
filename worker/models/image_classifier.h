// The two forms in which a convolutional network classifies an image.
//
// simple_cls: one channel, the last feature map pooled by average and by
// maximum, one linear layer ("fc"). simple_cls3: three channels (the image,
// column / 80, row / 100), average pooled, the network's own last layer. The
// network itself is "base_model" in both.
#ifndef FOLDFARM_WORKER_MODELS_IMAGE_CLASSIFIER_H_
#define FOLDFARM_WORKER_MODELS_IMAGE_CLASSIFIER_H_

#include <cstdint>
#include <memory>

#include "worker/models/model.h"
#include "worker/models/model_options.h"

namespace foldfarm {

// A convolutional network up to its pooling.
class Backbone {
 public:
  virtual ~Backbone() = default;

  // [B, ImageChannels(form), 100, 80] in channels-last order to the last
  // feature map [B, C, H, W].
  virtual at::Tensor Features(const at::Tensor& images) = 0;

  // simple_cls3: pooled features [B, C] to logits [B, labels].
  virtual at::Tensor Classify(const at::Tensor& features) = 0;
};

// Channels of the image that a network of this form sees.
int64_t ImageChannels(ClassifierForm form);

struct ImageClassifierOptions {
  ClassifierForm form = ClassifierForm::kSimpleCls;
  double head_dropout = 0;
  int64_t num_features = 0;  // Channels of the last feature map.
  int num_labels = 0;
};

// `backbone` and `module` are one object in its two roles.
std::shared_ptr<Model> MakeImageClassifier(
    const ImageClassifierOptions& options, std::shared_ptr<Backbone> backbone,
    std::shared_ptr<torch::nn::Module> module);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_MODELS_IMAGE_CLASSIFIER_H_
