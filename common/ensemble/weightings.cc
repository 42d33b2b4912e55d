#include "common/ensemble/weightings.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "common/ensemble/least_log_loss.h"
#include "common/ensemble/selection.h"

namespace foldfarm {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// WeightedMean, and the prior where that says nothing: it needs all folds.
std::vector<double> MeanOrPrior(const OofMatrix& oof,
                                absl::Span<const double> weights,
                                absl::Span<const double> prior) {
  const size_t labels = oof.num_labels();
  const std::vector<bool> predicted = PredictedLabels(oof);
  std::vector<double> mean(oof.truth.size(), 0.0);
  std::vector<double> total(labels, 0.0);
  for (size_t m = 0; m < oof.models.size(); ++m) {
    const OofModel& model = oof.models[m];
    if (weights[m] == 0.0) continue;
    for (size_t l = 0; l < labels; ++l) {
      if (!model.Predicts(l)) continue;
      total[l] += weights[m];
      for (size_t i = l; i < mean.size(); i += labels) {
        mean[i] += weights[m] * model.probabilities[i];
      }
    }
  }
  for (size_t i = 0; i < mean.size(); ++i) {
    const size_t l = i % labels;
    if (!predicted[l]) {
      mean[i] = kNaN;
    } else if (total[l] == 0.0) {
      mean[i] = prior[i];
    } else {
      // Rounding may lead just outside.
      mean[i] = std::min(1.0, mean[i] / total[l]);
    }
  }
  return mean;
}

using Fit = std::vector<double> (*)(const OofMatrix& oof);

Weighting Compare(const OofMatrix& oof, const BootstrapDraws& draws,
                  std::string name, Fit fit) {
  const std::vector<double> prior = PriorPredictions(oof);
  Weighting result;
  result.name = std::move(name);
  result.weights = fit(oof);
  result.log_loss =
      ShrunkLogLoss(oof.truth, MeanOrPrior(oof, result.weights, prior));
  const std::vector<FoldSplit> splits = SplitFolds(oof);
  if (splits.empty()) {
    result.nested_log_loss = result.gain = kNaN;
    return result;
  }
  const size_t labels = oof.num_labels();
  std::vector<double> nested(oof.truth.size());
  for (const FoldSplit& split : splits) {
    const std::vector<double> rows =
        MeanOrPrior(SelectSamples(oof, split.held_out),
                    fit(SelectSamples(oof, split.others)),
                    SelectRows(prior, labels, split.held_out));
    for (size_t i = 0; i < rows.size(); ++i) {
      nested[split.held_out[i / labels] * labels + i % labels] = rows[i];
    }
  }
  const std::vector<double> plain = MeanOfModels(oof);
  result.nested_log_loss = ShrunkLogLoss(oof.truth, nested);
  result.gain = ShrunkLogLoss(oof.truth, plain) - result.nested_log_loss;
  result.gain_interval =
      IntervalOf(SampleSums(oof, plain, [&](size_t, size_t cell) {
                   return CrossEntropy(oof.truth[cell],
                                       Shrink(plain[cell], kShrinkCommercial)) -
                          CrossEntropy(oof.truth[cell],
                                       Shrink(nested[cell], kShrinkCommercial));
                 }).Means(draws));
  return result;
}

}  // namespace

std::vector<double> WeightedMean(const OofMatrix& oof,
                                 absl::Span<const double> weights) {
  return MeanOrPrior(oof, weights, PriorPredictions(oof));
}

std::vector<double> GreedyWeights(const OofMatrix& oof) {
  const std::vector<SelectionStep> steps = GrowWithReplacement(oof);
  std::vector<double> weights(oof.models.size(), 0.0);
  for (const SelectionStep& step : steps) {
    weights[step.model] += 1.0 / static_cast<double>(steps.size());
  }
  return weights;
}

std::vector<Weighting> CompareWeightings(const OofMatrix& oof,
                                         const BootstrapDraws& draws) {
  const double plain = ShrunkLogLoss(oof.truth, MeanOfModels(oof));
  std::vector<Weighting> all;
  // Nothing is fitted, so its figure is honest as it is.
  all.push_back(
      {.name = "equal",
       .weights = std::vector<double>(
           oof.models.size(), 1.0 / static_cast<double>(oof.models.size())),
       .log_loss = plain,
       .nested_log_loss = plain,
       .gain = 0,
       .gain_interval = Interval{0, 0}});
  all.push_back(Compare(oof, draws, "greedy", GreedyWeights));
  all.push_back(Compare(
      oof, draws, "least log loss",
      [](const OofMatrix& fitted) { return MinimizeLogLoss(fitted).weights; }));
  return all;
}

}  // namespace foldfarm
