// The networks of a bundle, checked and ready to predict.
//
// Small bundles stay in memory; of large ones a network is read when it is
// needed. Torch's exceptions pass through. Not thread-safe.
#ifndef FOLDFARM_WORKER_TRAINER_BUNDLE_MODELS_H_
#define FOLDFARM_WORKER_TRAINER_BUNDLE_MODELS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/bundle/bundle.h"
#include "common/spectra/prepared_dataset.h"
#include "common/spectra/sample_check.h"
#include "worker/trainer/attempt_spec.h"
#include "worker/trainer/predictor.h"

namespace foldfarm {

struct BundleOptions {
  std::string directory;
  std::string device = "cpu";
  int threads = 1;
};

class BundleModels {
 public:
  // Reads bundle.json and compares the digests of all files before any is
  // loaded. Calls ConfigureTorch.
  // Errors: those of ReadBundle and VerifyBundle; INVALID_ARGUMENT for options
  // of a model that make no sense; FAILED_PRECONDITION for a device that is not
  // there and when samples were prepared otherwise than this program does.
  static absl::StatusOr<std::unique_ptr<BundleModels>> Open(
      const BundleOptions& options);

  const Bundle& bundle() const { return bundle_; }
  size_t num_models() const { return specs_.size(); }
  size_t num_networks() const;
  // A model's options, its device and threads.
  const AttemptSpec& spec(size_t model) const { return specs_[model]; }
  // What the models look at: the longest range of temperatures.
  TemperatureWindow window() const;
  // Columns of the model's labels among the bundle's.
  std::vector<size_t> LabelColumns(size_t model) const;

  absl::StatusOr<std::shared_ptr<Predictor>> Load(size_t model, size_t fold);

 private:
  BundleModels() = default;
  Bundle bundle_;
  std::string directory_;
  std::vector<AttemptSpec> specs_;
  bool keep_ = false;
  std::map<std::pair<size_t, size_t>, std::shared_ptr<Predictor>> kept_;
};

// What a bundle says of one sample. [models, labels] is row-major, NaN for
// labels that a model does not have; means are NaN where no model has the
// label.
struct BundlePrediction {
  std::vector<double> probability;        // [labels], weighted, not shrunk.
  std::vector<double> spread;             // [labels]: see below.
  std::vector<double> low, high;          // [labels]
  std::vector<double> model_probability;  // [models, labels]
};

// The same prediction with all its probabilities shrunk by `c`; what lies
// between two of them becomes shorter by the same factor. Pure.
BundlePrediction Shrunk(BundlePrediction prediction, double c);

// Draws the samples of `dataset` `tta` times for every network.
//
// A model's probability is the mean over folds and draws; `spread` is the
// weighted standard deviation of the models around their mean, `low` and `high`
// the ends; of a bundle of one model, of its folds. `progress` is told after
// each network: networks done.
// Errors: CANCELLED when `stop` says so.
absl::StatusOr<std::vector<BundlePrediction>> PredictWithBundle(
    BundleModels& models, const PreparedDataset& dataset, int tta,
    const std::function<bool()>& stop,
    const std::function<void(size_t)>& progress);

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_TRAINER_BUNDLE_MODELS_H_
