#include "common/ensemble/selection.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "common/ensemble/scores.h"

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

// Whichever of `candidates` is best in or out of the ensemble; the first of
// equals.
SelectionStep FindBest(const std::vector<size_t>& candidates, Members& members,
                       double sign) {
  SelectionStep best{0, std::numeric_limits<double>::infinity()};
  for (const size_t candidate : candidates) {
    const double log_loss = members.LogLossAfter(candidate, sign);
    if (log_loss < best.log_loss) best = {candidate, log_loss};
  }
  return best;
}

// Moves the best of `candidates` out of it and in or out of the ensemble.
SelectionStep TakeBest(std::vector<size_t>& candidates, Members& members,
                       double sign) {
  const SelectionStep best = FindBest(candidates, members, sign);
  members.Change(best.model, sign);
  candidates.erase(std::find(candidates.begin(), candidates.end(), best.model));
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

std::vector<SelectionStep> GrowWithReplacement(const OofMatrix& oof) {
  const std::vector<size_t> candidates = AllModels(oof);
  Members members(oof);
  std::vector<SelectionStep> steps;
  while (steps.size() < kMostGrowthSteps) {
    const SelectionStep best = FindBest(candidates, members, +1.0);
    if (!steps.empty() &&
        best.log_loss > steps.back().log_loss - kLeastGrowthGain) {
      break;
    }
    members.Change(best.model, +1.0);
    steps.push_back(best);
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

}  // namespace foldfarm
