// A trained model that predicts, from the files of its result: a network, trees
// or a prior.
//
// Torch's exceptions pass through. Not thread-safe.
#ifndef FOLDFARM_WORKER_TRAINER_PREDICTOR_H_
#define FOLDFARM_WORKER_TRAINER_PREDICTOR_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/trainer/attempt_spec.h"

namespace at {
class Tensor;
}  // namespace at

namespace foldfarm {

class BandFeatures;
class TreePredictor;

class Predictor {
 public:
  // `spec` says the model, its device and its threads; `labels` are those that
  // it predicts, in its order; `weights` is its weights.safetensors.
  // REQUIRES: CheckDevice and ConfigureTorch were called.
  // Errors: NOT_FOUND when the file is absent; INVALID_ARGUMENT naming the file
  // and what came and was expected when it holds another model.
  static absl::StatusOr<std::unique_ptr<Predictor>> Load(
      const AttemptSpec& spec, const std::vector<std::string>& labels,
      const std::string& weights);
  virtual ~Predictor() = default;

  // Of images [B, 100, 80] on the model's device: F32 probabilities [B, L].
  virtual absl::StatusOr<at::Tensor> Probabilities(
      const at::Tensor& images) = 0;

  // The same as log-odds, in full precision: a network's logits, log(p / (1 -
  // p)) of the others.
  virtual absl::StatusOr<at::Tensor> LogOdds(const at::Tensor& images);

 protected:
  Predictor() = default;
};

// What trees say of images: F32 probabilities [B, L].
absl::StatusOr<at::Tensor> TreeProbabilities(const BandFeatures& features,
                                             const TreePredictor& trees,
                                             const at::Tensor& images);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_PREDICTOR_H_
