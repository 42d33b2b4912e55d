#include "common/ensemble/analysis.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace foldfarm {
namespace {

// Log loss of `sum` plus `sign` times `delta`, divided by `count`.
double LogLossOfSum(const OofMatrix& oof, const std::vector<double>& sum,
                    double sign, const std::vector<double>& delta, size_t count,
                    std::vector<double>& scratch) {
  for (size_t i = 0; i < sum.size(); ++i) {
    // Rounding may leave a sum of removals just outside [0, 1].
    scratch[i] = std::clamp(
        (sum[i] + sign * delta[i]) / static_cast<double>(count), 0.0, 1.0);
  }
  return ShrunkLogLoss(oof.truth, scratch);
}

// Moves the best of `candidates` out of it and in `sum`.
SelectionStep TakeBest(const OofMatrix& oof, std::vector<size_t>& candidates,
                       std::vector<double>& sum, double sign,
                       size_t count_after) {
  std::vector<double> scratch(sum.size());
  SelectionStep best{0, std::numeric_limits<double>::infinity()};
  size_t best_at = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double log_loss =
        LogLossOfSum(oof, sum, sign, oof.models[candidates[i]].probabilities,
                     count_after, scratch);
    if (log_loss < best.log_loss) {
      best = {candidates[i], log_loss};
      best_at = i;
    }
  }
  const std::vector<double>& moved = oof.models[best.model].probabilities;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += sign * moved[i];
  candidates.erase(candidates.begin() + static_cast<std::ptrdiff_t>(best_at));
  return best;
}

std::vector<size_t> AllModels(const OofMatrix& oof) {
  std::vector<size_t> all(oof.models.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}

}  // namespace

std::vector<SelectionStep> GrowEnsemble(const OofMatrix& oof) {
  std::vector<size_t> candidates = AllModels(oof);
  std::vector<double> sum(oof.truth.size(), 0.0);
  std::vector<SelectionStep> steps;
  while (!candidates.empty()) {
    steps.push_back(TakeBest(oof, candidates, sum, +1.0, steps.size() + 1));
  }
  return steps;
}

std::vector<SelectionStep> EliminateBackward(const OofMatrix& oof) {
  std::vector<size_t> members = AllModels(oof);
  std::vector<double> sum(oof.truth.size(), 0.0);
  for (const OofModel& model : oof.models) {
    for (size_t i = 0; i < sum.size(); ++i) sum[i] += model.probabilities[i];
  }
  std::vector<SelectionStep> steps;
  while (members.size() > 1) {
    steps.push_back(TakeBest(oof, members, sum, -1.0, members.size() - 1));
  }
  return steps;
}

std::vector<double> CorrelationMatrix(const OofMatrix& oof) {
  const size_t models = oof.models.size();
  std::vector<double> matrix(models * models, 1.0);
  for (size_t i = 0; i < models; ++i) {
    for (size_t j = i + 1; j < models; ++j) {
      const double r = PearsonCorrelation(oof.models[i].probabilities,
                                          oof.models[j].probabilities);
      matrix[i * models + j] = r;
      matrix[j * models + i] = r;
    }
  }
  return matrix;
}

std::vector<TtaPoint> TtaCurve(const OofMatrix& oof,
                               absl::Span<const int> counts) {
  const size_t cells = oof.truth.size();
  size_t available = std::numeric_limits<size_t>::max();
  for (const OofModel& model : oof.models) {
    available = std::min(available, model.draws.size() / cells);
  }
  std::vector<TtaPoint> curve;
  for (int count : counts) {
    if (count < 1 || static_cast<size_t>(count) > available) continue;
    std::vector<double> mean(cells, 0.0);
    for (const OofModel& model : oof.models) {
      for (size_t i = 0; i < cells * static_cast<size_t>(count); ++i) {
        mean[i % cells] += model.draws[i];
      }
    }
    for (double& value : mean) {
      value /= static_cast<double>(oof.models.size()) * count;
    }
    curve.push_back({count, ShrunkLogLoss(oof.truth, mean)});
  }
  return curve;
}

EnsembleAnalysis AnalyzeEnsemble(const OofMatrix& oof) {
  EnsembleAnalysis analysis;
  const std::vector<double> mean = MeanOfModels(oof);
  for (size_t i = 0; i < oof.models.size(); ++i) {
    const std::vector<double>& probabilities = oof.models[i].probabilities;
    analysis.models.push_back({i, oof.models[i].name, Score(oof, probabilities),
                               FoldLogLoss(oof, probabilities),
                               PearsonCorrelation(probabilities, mean)});
  }
  std::stable_sort(analysis.models.begin(), analysis.models.end(),
                   [](const ModelAnalysis& a, const ModelAnalysis& b) {
                     return a.scores.log_loss_shrink_0002 <
                            b.scores.log_loss_shrink_0002;
                   });
  analysis.ensemble = Score(oof, mean);
  analysis.growth = GrowEnsemble(oof);
  analysis.prior = Score(oof, PriorPredictions(oof));
  analysis.label_log_loss = LabelLogLoss(oof, mean);
  return analysis;
}

}  // namespace foldfarm
