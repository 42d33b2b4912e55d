// Stands in for XGBoost where it is not installed.
#include "worker/gbm/tree_predictor.h"
#include "worker/gbm/tree_training.h"

namespace foldfarm {
namespace {

absl::Status NotBuilt() {
  return absl::InvalidArgumentError(
      "this trainer was built without XGBoost; install libxgboost-dev and "
      "build it again, or run arch xgboost on another worker");
}

}  // namespace

absl::StatusOr<std::unique_ptr<TreeTraining>> TreeTraining::Create(TreeInput) {
  return NotBuilt();
}

absl::StatusOr<std::unique_ptr<TreePredictor>> TreePredictor::Load(
    const TensorFile&, const std::string&, const XgboostOptions&,
    const std::vector<std::string>&, int64_t, int) {
  return NotBuilt();
}

}  // namespace foldfarm
