#include "common/ensemble/analysis.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace foldfarm {
namespace {

// An ensemble that gains and loses members.
class Members {
 public:
  explicit Members(const OofMatrix& oof)
      : oof_(oof),
        // Labels that nobody predicts never count.
        fallback_(OnlyLabels(oof, PriorPredictions(oof), PredictedLabels(oof))),
        sum_(oof.truth.size(), 0.0),
        count_(oof.num_labels(), 0.0),
        scratch_(oof.truth.size()) {}

  void Change(size_t model, double sign) {
    const OofModel& changed = oof_.models[model];
    for (size_t i = 0; i < sum_.size(); ++i) {
      if (changed.Predicts(i % count_.size())) {
        sum_[i] += sign * changed.probabilities[i];
      }
    }
    for (size_t l = 0; l < count_.size(); ++l) {
      if (changed.Predicts(l)) count_[l] += sign;
    }
  }

  // Log loss as it would be after Change().
  double LogLossAfter(size_t model, double sign) {
    const OofModel& changed = oof_.models[model];
    const size_t labels = count_.size();
    for (size_t l = 0; l < labels; ++l) {
      const double step = changed.Predicts(l) ? sign : 0.0;
      const double count = count_[l] + step;
      for (size_t i = l; i < sum_.size(); i += labels) {
        if (count == 0.0) {
          scratch_[i] = fallback_[i];
          continue;
        }
        double sum = sum_[i];
        if (step != 0.0) sum += step * changed.probabilities[i];
        // Rounding may leave a sum of removals just outside [0, 1].
        scratch_[i] = std::clamp(sum / count, 0.0, 1.0);
      }
    }
    return ShrunkLogLoss(oof_.truth, scratch_);
  }

 private:
  const OofMatrix& oof_;
  const std::vector<double> fallback_;
  std::vector<double> sum_;
  std::vector<double> count_;  // By label.
  std::vector<double> scratch_;
};

// Moves the best of `candidates` out of it and in or out of the ensemble.
SelectionStep TakeBest(std::vector<size_t>& candidates, Members& members,
                       double sign) {
  SelectionStep best{0, std::numeric_limits<double>::infinity()};
  size_t best_at = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    const double log_loss = members.LogLossAfter(candidates[i], sign);
    if (log_loss < best.log_loss) {
      best = {candidates[i], log_loss};
      best_at = i;
    }
  }
  members.Change(best.model, sign);
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
  Members members(oof);
  std::vector<SelectionStep> steps;
  while (!candidates.empty()) {
    steps.push_back(TakeBest(candidates, members, +1.0));
  }
  return steps;
}

std::vector<SelectionStep> EliminateBackward(const OofMatrix& oof) {
  std::vector<size_t> candidates = AllModels(oof);
  Members members(oof);
  for (const size_t model : candidates) members.Change(model, +1.0);
  std::vector<SelectionStep> steps;
  while (candidates.size() > 1) {
    steps.push_back(TakeBest(candidates, members, -1.0));
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
    std::vector<double> summands(oof.num_labels(), 0.0);
    for (const OofModel& model : oof.models) {
      for (size_t l = 0; l < summands.size(); ++l) {
        if (!model.Predicts(l)) continue;
        summands[l] += count;
        for (size_t i = l; i < cells * static_cast<size_t>(count);
             i += summands.size()) {
          mean[i % cells] += model.draws[i];
        }
      }
    }
    // 0 / 0 is NaN: a label that no model predicts.
    for (size_t i = 0; i < cells; ++i) mean[i] /= summands[i % summands.size()];
    curve.push_back({count, ShrunkLogLoss(oof.truth, mean)});
  }
  return curve;
}

EnsembleAnalysis AnalyzeEnsemble(const OofMatrix& oof) {
  EnsembleAnalysis analysis;
  const std::vector<double> mean = MeanOfModels(oof);
  const std::vector<double> prior = PriorPredictions(oof);
  for (size_t i = 0; i < oof.models.size(); ++i) {
    const OofModel& model = oof.models[i];
    ModelAnalysis& added = analysis.models.emplace_back();
    added.model = i;
    added.name = model.name;
    added.scores = Score(oof, model.probabilities);
    added.fold_log_loss = FoldLogLoss(oof, model.probabilities);
    added.correlation = PearsonCorrelation(model.probabilities, mean);
    added.prior_log_loss =
        ShrunkLogLoss(oof.truth, model.has_label.empty()
                                     ? prior
                                     : OnlyLabels(oof, prior, model.has_label));
  }
  std::stable_sort(analysis.models.begin(), analysis.models.end(),
                   [](const ModelAnalysis& a, const ModelAnalysis& b) {
                     return a.scores.log_loss_shrink_0002 <
                            b.scores.log_loss_shrink_0002;
                   });
  analysis.ensemble = Score(oof, mean);
  analysis.growth = GrowEnsemble(oof);
  const std::vector<bool> predicted = PredictedLabels(oof);
  analysis.prior = Score(oof, OnlyLabels(oof, prior, predicted));
  const std::vector<double> label_log_loss = LabelLogLoss(oof, mean);
  for (size_t l = 0; l < predicted.size(); ++l) {
    if (predicted[l]) {
      analysis.labels.push_back(oof.labels[l]);
      analysis.label_log_loss.push_back(label_log_loss[l]);
    } else {
      analysis.unpredicted_labels.push_back(oof.labels[l]);
    }
  }
  return analysis;
}

}  // namespace foldfarm
