#include "worker/trainer/predictor.h"

#include <torch/torch.h>

#include <cmath>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/tensorfile/tensorfile.h"
#include "worker/gbm/tree_predictor.h"
#include "worker/models/band_features.h"
#include "worker/models/model.h"
#include "worker/training/probabilities.h"
#include "worker/training/tensor_io.h"

namespace foldfarm {
namespace {

constexpr char kWeightsFormat[] = "foldfarm-weights";
// Single-precision probabilities are not told from 0 or 1 below this.
constexpr double kLeastOdds = 1e-6;

class NetworkPredictor : public Predictor {
 public:
  NetworkPredictor(std::shared_ptr<Model> model, bool bf16)
      : model_(std::move(model)), bf16_(bf16) {
    model_->module().eval();
  }

  absl::StatusOr<at::Tensor> Probabilities(const at::Tensor& images) override {
    return foldfarm::Probabilities(*model_, images, bf16_);
  }

  absl::StatusOr<at::Tensor> LogOdds(const at::Tensor& images) override {
    const at::NoGradGuard no_grad;
    return model_->Forward(images);
  }

 private:
  const std::shared_ptr<Model> model_;
  const bool bf16_;
};

class TreesPredictor : public Predictor {
 public:
  TreesPredictor(BandFeatures features, std::unique_ptr<TreePredictor> trees)
      : features_(std::move(features)), trees_(std::move(trees)) {}

  absl::StatusOr<at::Tensor> Probabilities(const at::Tensor& images) override {
    return TreeProbabilities(features_, *trees_, images);
  }

 private:
  const BandFeatures features_;
  const std::unique_ptr<TreePredictor> trees_;
};

// The same for every image.
class PriorPredictor : public Predictor {
 public:
  explicit PriorPredictor(at::Tensor prior) : prior_(std::move(prior)) {}

  absl::StatusOr<at::Tensor> Probabilities(const at::Tensor& images) override {
    return prior_.to(images.device()).unsqueeze(0).repeat({images.size(0), 1});
  }

 private:
  const at::Tensor prior_;  // [L]
};

absl::StatusOr<std::unique_ptr<Predictor>> LoadPrior(const TensorFile& file,
                                                     const std::string& path,
                                                     size_t num_labels) {
  const auto size = static_cast<int64_t>(num_labels);
  const auto prior = file.F32("prior", {size});
  if (!prior.ok()) return absl::InvalidArgumentError(prior.status().message());
  at::Tensor values = at::empty({size}, at::kFloat);
  for (int64_t i = 0; i < size; ++i) {
    const float p = (*prior)[i];
    if (!(p >= 0 && p <= 1)) {
      return absl::InvalidArgumentError(absl::StrCat(
          path, ": a prevalence is ", p, ", expected a number from 0 to 1"));
    }
    values.data_ptr<float>()[i] = p;
  }
  return std::make_unique<PriorPredictor>(std::move(values));
}

absl::StatusOr<std::unique_ptr<Predictor>> LoadTrees(
    const TensorFile& file, const std::string& path,
    const XgboostOptions& options, const std::vector<std::string>& labels,
    int threads) {
  FOLDFARM_ASSIGN_OR_RETURN(BandFeatures features,
                            BandFeatures::Create(options.features));
  FOLDFARM_ASSIGN_OR_RETURN(auto trees,
                            TreePredictor::Load(file, path, options, labels,
                                                features.size(), threads));
  return std::make_unique<TreesPredictor>(std::move(features),
                                          std::move(trees));
}

// Whether the last stage was trained, and so its predictions scored, in bf16:
// as the weights say, for a fold may have been retried otherwise than `spec`.
bool WasScoredInBf16(const TensorFile& file, const AttemptSpec& spec) {
  const absl::StatusOr<std::string> model = file.Metadata("model");
  const absl::StatusOr<AttemptSpec> own =
      model.ok() ? ParseModelSpec(*model, "model")
                 : absl::StatusOr<AttemptSpec>(model.status());
  const AttemptSpec& trained = own.ok() ? *own : spec;
  const TrainOptions& train =
      trained.stages.empty() ? trained.train : trained.stages.back().train;
  return train.precision == Precision::kBf16;
}

absl::StatusOr<std::unique_ptr<Predictor>> LoadNetwork(const TensorFile& file,
                                                       const std::string& path,
                                                       const AttemptSpec& spec,
                                                       size_t num_labels) {
  FOLDFARM_ASSIGN_OR_RETURN(
      std::shared_ptr<Model> model,
      BuildModel(spec.arch, static_cast<int>(num_labels)));
  const absl::Status read =
      ReadTensors(file, path, NamedWeights(model->module()));
  if (!read.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(read.message(), ": the weights are not those of model ",
                     spec.model_name));
  }
  model->module().to(at::Device(spec.device));
  return std::make_unique<NetworkPredictor>(std::move(model),
                                            WasScoredInBf16(file, spec));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Predictor>> Predictor::Load(
    const AttemptSpec& spec, const std::vector<std::string>& labels,
    const std::string& weights) {
  FOLDFARM_ASSIGN_OR_RETURN(const auto file, TensorFile::Open(weights));
  const auto format = file->Metadata("format");
  if (!format.ok() || *format != kWeightsFormat) {
    return absl::InvalidArgumentError(
        absl::StrCat(weights, ": format is \"", format.ok() ? *format : "",
                     "\", expected ", kWeightsFormat));
  }
  if (std::holds_alternative<NoneOptions>(spec.arch)) {
    return LoadPrior(*file, weights, labels.size());
  }
  if (const auto* trees = std::get_if<XgboostOptions>(&spec.arch)) {
    return LoadTrees(*file, weights, *trees, labels, spec.threads);
  }
  return LoadNetwork(*file, weights, spec, labels.size());
}

absl::StatusOr<at::Tensor> Predictor::LogOdds(const at::Tensor& images) {
  FOLDFARM_ASSIGN_OR_RETURN(const at::Tensor p, Probabilities(images));
  return at::logit(p, kLeastOdds);
}

absl::StatusOr<at::Tensor> TreeProbabilities(const BandFeatures& features,
                                             const TreePredictor& trees,
                                             const at::Tensor& images) {
  const at::Tensor rows = features.Compute(images).cpu().contiguous();
  const float* begin = rows.data_ptr<float>();
  FOLDFARM_ASSIGN_OR_RETURN(
      const std::vector<float> p,
      trees.Predict({.rows = rows.size(0),
                     .columns = rows.size(1),
                     .values = {begin, begin + rows.numel()}}));
  return at::tensor(at::ArrayRef<float>(p), at::kFloat)
      .view({rows.size(0), -1});
}

}  // namespace foldfarm
