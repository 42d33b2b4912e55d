#include "worker/trainer/bundle_models.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "common/base/attempt_files.h"
#include "common/base/files.h"
#include "common/base/status_macros.h"
#include "common/spectra/prepare.h"
#include "worker/render/renderer.h"
#include "worker/training/test_time.h"
#include "worker/training/torch_setup.h"

namespace foldfarm {
namespace {

// Bytes of weights that stay in memory.
constexpr int64_t kKeepBytes = int64_t{1} << 30;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

int64_t BytesOf(const Bundle& bundle) {
  int64_t bytes = 0;
  for (const BundleModel& model : bundle.models) {
    for (const std::vector<BundleFile>& files : model.folds) {
      bytes += FindFile(files, kWeightsFile)->bytes;
    }
  }
  return bytes;
}

// Several predictions of one number: their weighted mean and spread.
struct Spread {
  double weight = 0, sum = 0, squares = 0;
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void Add(double p, double its_weight) {
    weight += its_weight;
    sum += its_weight * p;
    squares += its_weight * p * p;
    low = std::min(low, p);
    high = std::max(high, p);
  }
  double Mean() const { return weight > 0 ? sum / weight : kNaN; }
  double Deviation() const {
    return weight > 0
               ? std::sqrt(std::max(0.0, squares / weight - Mean() * Mean()))
               : kNaN;
  }
};

}  // namespace

absl::StatusOr<std::unique_ptr<BundleModels>> BundleModels::Open(
    const BundleOptions& options) {
  std::unique_ptr<BundleModels> models(new BundleModels);
  models->directory_ = options.directory;
  FOLDFARM_ASSIGN_OR_RETURN(models->bundle_, ReadBundle(options.directory));
  const Bundle& bundle = models->bundle_;
  if (bundle.preparation != kPreparationVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        options.directory,
        ": its networks learned from samples of preparation "
        "version ",
        bundle.preparation, ", this program prepares by version ",
        kPreparationVersion, "; use a program as old as the bundle (",
        bundle.program, ")"));
  }
  FOLDFARM_RETURN_IF_ERROR(VerifyBundle(bundle, options.directory));
  FOLDFARM_RETURN_IF_ERROR(CheckDevice(options.device));
  ConfigureTorch(options.threads, options.device);
  for (const BundleModel& model : bundle.models) {
    FOLDFARM_ASSIGN_OR_RETURN(
        AttemptSpec spec,
        ParseModelSpec(model.model_json,
                       absl::StrCat(JoinPath(options.directory, kBundleFile),
                                    ": ", model.name)));
    spec.model_name = model.name;
    spec.device = options.device;
    spec.threads = options.threads;
    spec.seed = model.seed;
    // Training's alone.
    spec.render.sam_augment.prob = 0;
    spec.render.mix_prob = 0;
    models->specs_.push_back(std::move(spec));
  }
  models->keep_ = BytesOf(bundle) <= kKeepBytes;
  return models;
}

size_t BundleModels::num_networks() const {
  size_t count = 0;
  for (const BundleModel& model : bundle_.models) count += model.folds.size();
  return count;
}

TemperatureWindow BundleModels::window() const {
  TemperatureWindow window;
  window.first = kFirstColumnCelsius;
  window.columns = kNumColumns;
  window.step = 0;
  for (const AttemptSpec& spec : specs_) {
    if (spec.render.temp_step <= window.step) continue;
    window.step = spec.render.temp_step;
    window.reach = spec.render.temp_query_range;
  }
  return window;
}

std::vector<size_t> BundleModels::LabelColumns(size_t model) const {
  std::vector<size_t> columns;
  for (const std::string& label : bundle_.models[model].labels) {
    columns.push_back(
        std::find(bundle_.labels.begin(), bundle_.labels.end(), label) -
        bundle_.labels.begin());
  }
  return columns;
}

absl::StatusOr<std::shared_ptr<Predictor>> BundleModels::Load(size_t model,
                                                              size_t fold) {
  const auto kept = kept_.find({model, fold});
  if (kept != kept_.end()) return kept->second;
  const BundleModel& its = bundle_.models[model];
  FOLDFARM_ASSIGN_OR_RETURN(
      std::shared_ptr<Predictor> predictor,
      Predictor::Load(
          specs_[model], its.labels,
          JoinPath(directory_, FindFile(its.folds[fold], kWeightsFile)->path)));
  if (keep_) kept_[{model, fold}] = predictor;
  return predictor;
}

BundlePrediction Shrunk(BundlePrediction prediction, double c) {
  for (std::vector<double>* values :
       {&prediction.probability, &prediction.low, &prediction.high,
        &prediction.model_probability}) {
    for (double& p : *values) p = p * (1 - 2 * c) + c;
  }
  for (double& spread : prediction.spread) spread *= 1 - 2 * c;
  return prediction;
}

absl::StatusOr<std::vector<BundlePrediction>> PredictWithBundle(
    BundleModels& models, const PreparedDataset& dataset, int tta,
    const std::function<bool()>& stop,
    const std::function<void(size_t)>& progress) {
  const Bundle& bundle = models.bundle();
  const size_t num_labels = bundle.labels.size();
  const auto num_samples = static_cast<size_t>(dataset.num_samples());
  std::vector<std::string> ids;
  for (const SampleInfo& sample : dataset.header().samples) {
    ids.push_back(sample.id);
  }
  std::vector<BundlePrediction> result(num_samples);
  for (BundlePrediction& prediction : result) {
    prediction.model_probability.assign(models.num_models() * num_labels, kNaN);
  }
  const bool one = models.num_models() == 1;
  // Between models, or between the folds of the only one.
  std::vector<Spread> spreads(num_samples * num_labels);
  size_t done = 0;
  for (size_t m = 0; m < models.num_models(); ++m) {
    const AttemptSpec& spec = models.spec(m);
    const BundleModel& model = bundle.models[m];
    const std::vector<size_t> columns = models.LabelColumns(m);
    FOLDFARM_ASSIGN_OR_RETURN(const std::unique_ptr<Renderer> renderer,
                              Renderer::Create(dataset, ids, /*num_train=*/0,
                                               spec.render, spec.device));
    std::vector<double> sum(num_samples * columns.size(), 0.0);
    for (size_t f = 0; f < model.folds.size(); ++f) {
      FOLDFARM_ASSIGN_OR_RETURN(const std::shared_ptr<Predictor> predictor,
                                models.Load(m, f));
      FOLDFARM_ASSIGN_OR_RETURN(
          const Predictions drawn,
          PredictDraws(
              {.renderer = renderer.get(),
               .first = 0,
               .count = dataset.num_samples(),
               .num_labels = static_cast<int64_t>(columns.size()),
               .tta = tta,
               .seed = model.seed + static_cast<uint32_t>(f)},
              [&](const at::Tensor& images) {
                return predictor->Probabilities(images);
              },
              stop));
      for (size_t i = 0; i < sum.size(); ++i) {
        const double p = drawn.probabilities[i];
        if (!(p >= 0 && p <= 1)) {
          return absl::InvalidArgumentError(absl::StrCat(
              model.name, ", fold ", f, ": predicts a probability of ", p,
              "; its weights are no good"));
        }
        sum[i] += p;
        if (one) {
          spreads[i / columns.size() * num_labels + columns[i % columns.size()]]
              .Add(p, 1);
        }
      }
      progress(++done);
    }
    for (size_t i = 0; i < sum.size(); ++i) {
      const size_t sample = i / columns.size();
      const size_t label = columns[i % columns.size()];
      const double p = sum[i] / static_cast<double>(model.folds.size());
      result[sample].model_probability[m * num_labels + label] = p;
      if (!one && model.weight > 0) {
        spreads[sample * num_labels + label].Add(p, model.weight);
      }
    }
  }
  for (size_t i = 0; i < spreads.size(); ++i) {
    BundlePrediction& prediction = result[i / num_labels];
    const bool any = spreads[i].weight > 0;
    prediction.probability.push_back(spreads[i].Mean());
    prediction.spread.push_back(spreads[i].Deviation());
    prediction.low.push_back(any ? spreads[i].low : kNaN);
    prediction.high.push_back(any ? spreads[i].high : kNaN);
  }
  return result;
}

}  // namespace foldfarm
