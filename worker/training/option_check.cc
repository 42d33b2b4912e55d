#include "worker/training/option_check.h"

#include "absl/strings/str_cat.h"

namespace foldfarm {

absl::Status CheckTrainOptions(const TrainOptions& options, int64_t num_train,
                               int64_t num_validation) {
  if (num_train < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "train_samples has ", num_train, " ids, expected at least 2"));
  }
  if (options.swa_start > 0 &&
      (options.ema > 0 || options.early_stopping > 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "train.swa_start is ", options.swa_start, " beside ema ", options.ema,
        " and early_stopping ", options.early_stopping,
        ": only one may choose the weights, expected 0 of the others"));
  }
  if (options.early_stopping > 0 && num_validation == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("train.early_stopping is ", options.early_stopping,
                     ", but no samples are held out to score; set it to 0"));
  }
  return absl::OkStatus();
}

}  // namespace foldfarm
