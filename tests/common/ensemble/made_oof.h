// A made matrix of any size: models that err alike, as real ones do.
#ifndef FOLDFARM_TESTS_COMMON_ENSEMBLE_MADE_OOF_H_
#define FOLDFARM_TESTS_COMMON_ENSEMBLE_MADE_OOF_H_

#include <algorithm>
#include <cstdint>
#include <random>

#include "absl/strings/str_cat.h"
#include "common/ensemble/oof.h"

namespace foldfarm {

struct MadeOofOptions {
  int models = 3;
  int samples = 60;
  int labels = 3;
  int folds = 4;
  int draws = 0;
  uint32_t seed = 1;
};

// Every fifth sample is from the SAM testbed; later models err more.
inline OofMatrix MadeOof(const MadeOofOptions& options) {
  // mt19937 and this arithmetic are the same everywhere; the standard's
  // distributions are not.
  std::mt19937 random(options.seed);
  const auto uniform = [&] { return random() / 4294967296.0; };
  const auto spread = [&](double width) { return width * (2 * uniform() - 1); };
  const auto within = [](double p) { return std::clamp(p, 0.0, 1.0); };
  OofMatrix oof;
  for (int l = 0; l < options.labels; ++l) {
    oof.labels.push_back(absl::StrCat("label", l));
  }
  std::vector<double> shared;
  for (int i = 0; i < options.samples; ++i) {
    oof.sample_ids.push_back(absl::StrCat("S", i));
    oof.instrument_types.push_back(i % 5 == 0 ? "sam_testbed" : "commercial");
    oof.folds.push_back(i % options.folds);
    for (int l = 0; l < options.labels; ++l) {
      oof.truth.push_back(uniform() < 0.3 ? 1 : 0);
      shared.push_back(0.2 + 0.6 * oof.truth.back() + spread(0.3));
    }
  }
  for (int m = 0; m < options.models; ++m) {
    OofModel& model = oof.models.emplace_back();
    model.name = absl::StrCat("model", m);
    for (const double p : shared) {
      model.probabilities.push_back(within(p + spread(0.25 + 0.05 * m)));
    }
    if (options.draws == 0) continue;
    const std::vector<double> centre = model.probabilities;
    std::fill(model.probabilities.begin(), model.probabilities.end(), 0.0);
    for (int d = 0; d < options.draws; ++d) {
      for (size_t i = 0; i < centre.size(); ++i) {
        model.draws.push_back(within(centre[i] + spread(0.2)));
        model.probabilities[i] += model.draws.back() / options.draws;
      }
    }
    for (double& p : model.probabilities) p = within(p);
  }
  return oof;
}

}  // namespace foldfarm

#endif  // FOLDFARM_TESTS_COMMON_ENSEMBLE_MADE_OOF_H_
