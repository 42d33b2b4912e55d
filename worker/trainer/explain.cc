#include "worker/trainer/explain.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/files.h"
#include "common/base/json_text.h"
#include "common/base/status_macros.h"
#include "common/tensorfile/tensorfile.h"
#include "nlohmann/json.hpp"
#include "worker/render/renderer.h"
#include "worker/trainer/bundle_models.h"
#include "worker/trainer/json_fields.h"
#include "worker/trainer/occlusion.h"
#include "worker/trainer/sample_inputs.h"
#include "worker/trainer/torch_errors.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

using Json = nlohmann::json;

constexpr char kSpecFile[] = "explain.json";
constexpr double kWindowCelsius = 72;
constexpr int kMaxDraws = 1000;

struct ExplainSpec {
  std::string bundle, sample, label, instrument;
  int draws = 4;
  int threads = 1;
  std::string device = "cpu";
};

absl::StatusOr<ExplainSpec> ReadSpec(const std::string& directory) {
  FOLDFARM_ASSIGN_OR_RETURN(const std::string text,
                            ReadFile(JoinPath(directory, kSpecFile)));
  const Json root = ParseJson(text);
  if (root.is_discarded()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kSpecFile, ": not valid JSON"));
  }
  ExplainSpec spec;
  JsonFields fields(root, absl::StrCat(kSpecFile, ":"));
  fields.Get("bundle", spec.bundle);
  fields.Get("sample", spec.sample);
  fields.Get("label", spec.label);
  fields.Get("instrument", spec.instrument);
  fields.Get("draws", spec.draws, 1, kMaxDraws);
  fields.Get("threads", spec.threads, 1, kMaxDraws);
  fields.Get("device", spec.device);
  FOLDFARM_RETURN_IF_ERROR(fields.Finish());
  return spec;
}

// A map over temperatures, whatever the steps of the model it came from.
class EvidenceSum {
 public:
  explicit EvidenceSum(double step) : step_(step) {}

  // Adds what a model with columns `step` degrees apart says. Where it does not
  // look it says nothing.
  void Add(const OcclusionMap& map, double step, double weight) {
    weight_ += weight;
    log_odds_ += weight * map.log_odds;
    for (int mz = 0; mz < kNumMz; ++mz) {
      rows_[mz] += static_cast<float>(weight * map.rows[mz]);
      for (int k = 0; k < kNumColumns; ++k) {
        // The model's columns whose centres lie in this one.
        const int begin = static_cast<int>(std::ceil((k - 0.5) * step_ / step));
        const int end = static_cast<int>(std::ceil((k + 0.5) * step_ / step));
        double sum = 0;
        int count = 0;
        for (int j = std::max(begin, 0); j < std::min(end, kNumColumns); ++j) {
          sum += map.cells[mz * kNumColumns + j];
          ++count;
        }
        if (count > 0) {
          cells_[mz * kNumColumns + k] +=
              static_cast<float>(weight * sum / count);
        }
      }
    }
  }
  void Finish() {
    for (float& cell : cells_) cell = static_cast<float>(cell / weight_);
    for (float& row : rows_) row = static_cast<float>(row / weight_);
    log_odds_ /= weight_;
  }
  const std::vector<float>& cells() const { return cells_; }
  const std::vector<float>& rows() const { return rows_; }
  double log_odds() const { return log_odds_; }

 private:
  const double step_;
  double weight_ = 0, log_odds_ = 0;
  std::vector<float> cells_ = std::vector<float>(kNumMz * kNumColumns, 0.0f);
  std::vector<float> rows_ = std::vector<float>(kNumMz, 0.0f);
};

class Explainer {
 public:
  Explainer(const ExplainSpec& spec, const std::function<bool()>& stop)
      : spec_(spec), stop_(stop) {}

  absl::Status Run(const std::string& directory) {
    FOLDFARM_RETURN_IF_ERROR(Prepare());
    FOLDFARM_RETURN_IF_ERROR(Predict());
    FOLDFARM_RETURN_IF_ERROR(Explain());
    return Write(directory);
  }

 private:
  absl::Status Prepare();
  absl::Status Predict();
  absl::Status Explain();
  absl::Status Write(const std::string& directory) const;
  absl::StatusOr<std::vector<float>> Image() const;

  const Bundle& bundle() const { return models_->bundle(); }
  const std::string& instrument() const {
    return sample_.input.instrument_type;
  }

  const ExplainSpec& spec_;
  const std::function<bool()>& stop_;
  std::unique_ptr<BundleModels> models_;
  ReadSample sample_;
  std::shared_ptr<const PreparedDataset> dataset_;
  size_t label_ = 0;           // Among the bundle's.
  std::vector<size_t> asked_;  // Models that have the label, by falling weight.
  std::vector<std::string> left_out_;
  BundlePrediction prediction_;
  std::unique_ptr<EvidenceSum> evidence_;
};

absl::Status Explainer::Prepare() {
  FOLDFARM_ASSIGN_OR_RETURN(models_,
                            BundleModels::Open({.directory = spec_.bundle,
                                                .device = spec_.device,
                                                .threads = spec_.threads}));
  const std::vector<std::string>& labels = bundle().labels;
  const auto found = std::find(labels.begin(), labels.end(), spec_.label);
  if (found == labels.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the bundle has no label \"", spec_.label, "\", it has ",
                     absl::StrJoin(labels, ", ")));
  }
  label_ = found - labels.begin();
  for (size_t m = 0; m < models_->num_models(); ++m) {
    const BundleModel& model = bundle().models[m];
    const std::vector<size_t> columns = models_->LabelColumns(m);
    if (model.weight == 0 ||
        std::find(columns.begin(), columns.end(), label_) == columns.end()) {
      continue;
    }
    if (std::holds_alternative<NoneOptions>(models_->spec(m).arch)) {
      left_out_.push_back(model.name);
    } else {
      asked_.push_back(m);
    }
  }
  if (asked_.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no model of the bundle looks at a sample to predict ", spec_.label));
  }
  std::stable_sort(asked_.begin(), asked_.end(), [this](size_t a, size_t b) {
    return bundle().models[a].weight > bundle().models[b].weight;
  });
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<SampleInput> inputs,
                            FindSamples({spec_.sample}, spec_.instrument));
  if (inputs.size() != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        spec_.sample, " holds ", inputs.size(), " samples, expected one"));
  }
  std::vector<ReadSample> samples =
      ReadSamples(inputs, models_->window(), /*threads=*/1);
  FOLDFARM_RETURN_IF_ERROR(samples[0].status);
  FOLDFARM_ASSIGN_OR_RETURN(dataset_, DatasetOf(samples, labels));
  sample_ = std::move(samples[0]);
  return absl::OkStatus();
}

absl::Status Explainer::Predict() {
  FOLDFARM_ASSIGN_OR_RETURN(std::vector<BundlePrediction> predictions,
                            PredictWithBundle(*models_, *dataset_, bundle().tta,
                                              stop_, [](size_t) {}));
  prediction_ = std::move(predictions[0]);
  return absl::OkStatus();
}

absl::Status Explainer::Explain() {
  evidence_ = std::make_unique<EvidenceSum>(models_->window().step);
  size_t networks = 0, done = 0;
  for (const size_t m : asked_) networks += bundle().models[m].folds.size();
  for (const size_t m : asked_) {
    const AttemptSpec& spec = models_->spec(m);
    const BundleModel& model = bundle().models[m];
    const std::vector<size_t> columns = models_->LabelColumns(m);
    const int64_t column =
        std::find(columns.begin(), columns.end(), label_) - columns.begin();
    FOLDFARM_ASSIGN_OR_RETURN(
        const std::unique_ptr<Renderer> renderer,
        Renderer::Create(*dataset_, {sample_.input.id}, /*num_train=*/0,
                         spec.render, spec.device));
    std::vector<SampleDraw> draws;
    for (int draw = 0; draw < spec_.draws; ++draw) {
      draws.push_back(
          {.position = 0,
           .seed = DeriveStreamSeed(model.seed, kPredictStream, draw)});
    }
    const at::Tensor images = renderer->DrawToPredict(draws);
    OcclusionOptions options;
    options.window = std::clamp(
        static_cast<int>(std::lround(kWindowCelsius / spec.render.temp_step)),
        1, kNumColumns);
    const double weight =
        model.weight / static_cast<double>(model.folds.size());
    for (size_t f = 0; f < model.folds.size(); ++f) {
      FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<Predictor> predictor,
                                models_->Load(m, f));
      FOLDFARM_ASSIGN_OR_RETURN(
          const OcclusionMap map,
          Occlude(
              images,
              [&](const at::Tensor& batch) -> absl::StatusOr<at::Tensor> {
                FOLDFARM_ASSIGN_OR_RETURN(const at::Tensor all,
                                          predictor->LogOdds(batch));
                return all.select(1, column);
              },
              options, stop_));
      evidence_->Add(map, spec.render.temp_step, weight);
      // For `foldfarm explain`, which shows it.
      std::printf("%zu/%zu\n", ++done, networks);
      std::fflush(stdout);
    }
  }
  evidence_->Finish();
  return absl::OkStatus();
}

// As the first model gets it, in [0, 1], but for what would make an ion that is
// hardly there as bright as water.
absl::StatusOr<std::vector<float>> Explainer::Image() const {
  RenderOptions options = models_->spec(asked_[0]).render;
  options.temp_step = models_->window().step;
  options.log_space = true;
  options.norm_to_one = true;
  options.normalize_m_separately = false;
  FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<Renderer> renderer,
                            Renderer::Create(*dataset_, {sample_.input.id},
                                             /*num_train=*/0, options, "cpu"));
  const at::Tensor image =
      renderer
          ->DrawFixed(at::zeros({1}, at::kLong), /*subtract_baseline=*/false)
          .contiguous();
  const float* begin = image.data_ptr<float>();
  return std::vector<float>(begin, begin + image.numel());
}

absl::Status Explainer::Write(const std::string& directory) const {
  FOLDFARM_ASSIGN_OR_RETURN(const std::vector<float> image, Image());
  std::vector<std::string> names;
  for (const size_t m : asked_) names.push_back(bundle().models[m].name);
  const BundlePrediction shrunk =
      Shrunk(prediction_, bundle().ShrinkOf(instrument()));
  const RenderOptions& render = models_->spec(asked_[0]).render;
  const Json explanation = {{"sample", sample_.input.id},
                            {"file", sample_.input.path},
                            {"label", spec_.label},
                            {"instrument_type", instrument()},
                            {"instrument_guessed", sample_.guessed_instrument},
                            {"probability", shrunk.probability[label_]},
                            {"spread", shrunk.spread[label_]},
                            {"low", shrunk.low[label_]},
                            {"high", shrunk.high[label_]},
                            {"log_odds", evidence_->log_odds()},
                            {"first_celsius", kFirstColumnCelsius},
                            {"step_celsius", models_->window().step},
                            {"window_celsius", kWindowCelsius},
                            {"min_clip", render.min_clip},
                            {"models", names},
                            {"left_out", left_out_},
                            {"networks", models_->num_networks()},
                            {"draws", spec_.draws},
                            {"bundle", bundle().name},
                            {"warnings", sample_.warnings}};
  TensorFileWriter writer;
  writer.SetMetadata("format", "foldfarm-explanation");
  writer.SetMetadata("format_version", "1");
  writer.SetMetadata("explanation", JsonText(explanation));
  writer.AddF32("image", {kNumMz, kNumColumns}, image);
  writer.AddF32("evidence", {kNumMz, kNumColumns}, evidence_->cells());
  writer.AddF32("mz", {kNumMz}, evidence_->rows());
  return WriteFileAtomically(JoinPath(directory, "explain.safetensors"),
                             writer.Serialize());
}

// To a person all of these are wrong input.
absl::Status AsBadInput(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsDataLoss(status) ||
                 absl::IsFailedPrecondition(status)
             ? absl::InvalidArgumentError(status.message())
             : status;
}

}  // namespace

absl::Status ExplainSample(const std::string& directory,
                           const std::function<bool()>& stop) {
  return AsBadInput(CatchTorchErrors([&]() -> absl::Status {
    FOLDFARM_ASSIGN_OR_RETURN(const ExplainSpec spec, ReadSpec(directory));
    return Explainer(spec, stop).Run(directory);
  }));
}

}  // namespace foldfarm
