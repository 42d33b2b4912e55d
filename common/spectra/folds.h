// Which fold holds out which sample.
//
// Only labelled samples of the train split are folded. The cut is that of
// scikit-learn's StratifiedKFold(count, shuffle=True, random_state=seed), so
// that figures compare with Python's. Thread-safe.
#ifndef FOLDFARM_COMMON_SPECTRA_FOLDS_H_
#define FOLDFARM_COMMON_SPECTRA_FOLDS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/spectra/prepared_dataset.h"

namespace foldfarm {

// Exactly one of `assignment`, `holdout` and `count` decides, in this order:
// the first that is not empty.
struct FoldOptions {
  int count = 4;
  // A column of the sample table: "instrument_type" or "split".
  std::string stratify = "instrument_type";
  uint32_t seed = 42;
  // Explicit: sample id -> fold from 0 up.
  std::map<std::string, int> assignment;
  // One fold, holding out the samples whose column has this value.
  std::string holdout_column;
  std::string holdout_value;
};

struct Folds {
  int count = 0;
  // A sample's fold; kNotFolded for those that no fold holds out.
  std::vector<int> fold;
  // Entries of FoldOptions::assignment for no labelled train sample.
  int64_t ignored_assignments = 0;

  static constexpr int kNotFolded = -1;
};

// Cuts `samples`, in the dataset's order. Samples that `holdout` leaves out are
// kNotFolded: every model trains on them.
//
// Errors: INVALID_ARGUMENT for an unknown column, a fold below 0 or empty,
// fewer samples than folds, a holdout that holds out nothing or everything,
// train samples that `assignment` does not name.
absl::StatusOr<Folds> AssignFolds(absl::Span<const SampleInfo> samples,
                                  const FoldOptions& options);

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_SPECTRA_FOLDS_H_
