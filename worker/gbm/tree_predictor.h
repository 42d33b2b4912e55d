// Boosted trees that are finished, ready to predict.
//
// No Torch here; tables come as plain floats. Built without XGBoost, only Load
// is there and fails. Not thread-safe.
#ifndef FOLDFARM_WORKER_GBM_TREE_PREDICTOR_H_
#define FOLDFARM_WORKER_GBM_TREE_PREDICTOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/tensorfile/tensorfile.h"
#include "worker/models/model_options.h"

namespace foldfarm {

// Rows of features, row-major.
struct FeatureTable {
  int64_t rows = 0;
  int64_t columns = 0;
  std::vector<float> values;  // [rows, columns]
};

class TreePredictor {
 public:
  // `models`: saved bytes, of one model a label or of one with an output a
  // label. Errors: INVALID_ARGUMENT when one has not `num_features` features.
  static absl::StatusOr<std::unique_ptr<TreePredictor>> Create(
      const std::vector<std::string>& models, size_t num_labels,
      int64_t num_features, int threads);

  // From the weights.safetensors of a result; `name` stands in messages.
  // Errors: as above; INVALID_ARGUMENT when a label's trees are not there, and
  // when this trainer was built without XGBoost.
  static absl::StatusOr<std::unique_ptr<TreePredictor>> Load(
      const TensorFile& weights, const std::string& name,
      const XgboostOptions& options, const std::vector<std::string>& labels,
      int64_t num_features, int threads);

  virtual ~TreePredictor() = default;

  // Probabilities [rows, labels].
  virtual absl::StatusOr<std::vector<float>> Predict(
      const FeatureTable& table) const = 0;

 protected:
  TreePredictor() = default;
};

}  // namespace foldfarm

#endif  // FOLDFARM_WORKER_GBM_TREE_PREDICTOR_H_
