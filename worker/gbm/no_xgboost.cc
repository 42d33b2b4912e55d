// Stands in for XGBoost where it is not installed.
#include "worker/gbm/tree_training.h"

namespace foldfarm {

absl::StatusOr<std::unique_ptr<TreeTraining>> TreeTraining::Create(TreeInput) {
  return absl::InvalidArgumentError(
      "this trainer was built without XGBoost; install libxgboost-dev and "
      "build "
      "it again, or train arch xgboost on another worker");
}

}  // namespace foldfarm
