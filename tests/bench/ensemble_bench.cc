// How long the analysis of an ensemble takes, on one core:
//
//   ensemble_bench [MODELS [SAMPLES [DRAWS]]]
//
// Made predictions of 10 labels in 4 folds; by default as many models, samples
// and TTA draws as the recipe has.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "common/base/clock.h"
#include "common/ensemble/analysis.h"
#include "common/ensemble/least_log_loss.h"
#include "tests/common/ensemble/made_oof.h"

namespace foldfarm {
namespace {

template <typename Work>
void Measure(const char* what, const Work& work) {
  const absl::Duration begin = Clock::Real().Monotonic();
  work();
  std::printf("%-44s %8.3f s\n", what,
              absl::ToDoubleSeconds(Clock::Real().Monotonic() - begin));
}

int Main(int argc, char** argv) {
  const auto argument = [&](int at, int otherwise) {
    return argc > at ? std::max(1, std::atoi(argv[at])) : otherwise;
  };
  const int models = argument(1, 26);
  const int samples = argument(2, 763);
  const int draws = argument(3, 16);
  const MadeOofOptions options = {
      .models = models, .samples = samples, .labels = 10, .draws = draws};
  std::printf("%d models, %d samples, %d labels, %d TTA draws\n", models,
              samples, options.labels, draws);
  const OofMatrix oof = MadeOof(options);
  Measure("scores, correlations, growth", [&] { AnalyzeEnsemble(oof); });
  Measure("with intervals, selections, weightings, TTA",
          [&] { AnalyzeEnsemble(oof, {.full = true}); });
  const std::vector<double> mean = MeanOfModels(oof);
  Measure("  intervals of one set of predictions",
          [&] { PredictionScorer(oof, true).Score(mean); });
  Measure("  growth with replacement", [&] { GrowWithReplacement(oof); });
  Measure("  least log loss", [&] { MinimizeLogLoss(oof); });
  return 0;
}

}  // namespace
}  // namespace foldfarm

int main(int argc, char** argv) { return foldfarm::Main(argc, argv); }
