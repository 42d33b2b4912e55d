// A matrix small enough to compute by hand.
#ifndef FOLDFARM_TESTS_COMMON_ENSEMBLE_SMALL_OOF_H_
#define FOLDFARM_TESTS_COMMON_ENSEMBLE_SMALL_OOF_H_

#include <cstddef>
#include <limits>
#include <vector>

#include "common/ensemble/oof.h"

namespace foldfarm {

// No prediction.
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Four samples in two folds, two labels; S4 is from the SAM testbed.
inline OofMatrix SmallOof() {
  OofMatrix oof;
  oof.labels = {"basalt", "sulfate"};
  oof.sample_ids = {"S1", "S2", "S3", "S4"};
  oof.instrument_types = {"commercial", "commercial", "commercial",
                          "sam_testbed"};
  oof.folds = {0, 0, 1, 1};
  oof.truth = {1, 0,  //
               0, 0,  //
               1, 1,  //
               1, 0};
  return oof;
}

// Adds a model that says `present` where a label is present, else `absent`.
inline void AddModel(OofMatrix& oof, const char* name, double present,
                     double absent) {
  OofModel model{name};
  for (double truth : oof.truth) {
    model.probabilities.push_back(truth == 1 ? present : absent);
  }
  oof.models.push_back(model);
}

// Takes a label's predictions from the newest model.
inline void DropLabel(OofMatrix& oof, size_t label) {
  OofModel& model = oof.models.back();
  model.has_label.resize(oof.num_labels(), true);
  model.has_label[label] = false;
  for (std::vector<double>* values : {&model.probabilities, &model.draws}) {
    for (size_t i = label; i < values->size(); i += oof.num_labels()) {
      (*values)[i] = kNaN;
    }
  }
}

// "fair" alone is best of the singles; "left" and "right" err on different
// labels, so their mean beats adding "bad".
inline OofMatrix FourModels() {
  OofMatrix oof = SmallOof();
  AddModel(oof, "bad", 0.3, 0.7);
  AddModel(oof, "left", 0.9, 0.1);
  AddModel(oof, "right", 0.9, 0.1);
  AddModel(oof, "fair", 0.8, 0.2);
  oof.models[1].probabilities[0] = 0.2;
  oof.models[2].probabilities[5] = 0.2;
  return oof;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COMMON_ENSEMBLE_SMALL_OOF_H_
