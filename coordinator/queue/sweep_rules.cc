#include "coordinator/queue/sweep_rules.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "common/ensemble/analysis.h"
#include "common/ensemble/scores.h"

namespace foldfarm {
namespace {

constexpr absl::string_view kLogLoss = "log_loss";
constexpr absl::string_view kCorrelation = "correlation";
// As the rule of StopWhenSpec.for_models says.
constexpr int kForModels = 4;

int ForModels(const v1::StopWhenSpec& rule) {
  return rule.has_for_models() ? rule.for_models() : kForModels;
}

// Nothing said: both.
bool IsBy(const v1::ScreenSpec& screen, absl::string_view word) {
  return screen.by().empty() || absl::c_linear_search(screen.by(), word);
}

// The mean of models that come one by one.
class RunningMean {
 public:
  // `labels`: those that are scored.
  RunningMean(const OofMatrix& oof, const std::vector<bool>& labels)
      : oof_(oof),
        fallback_(OnlyLabels(oof, PriorPredictions(oof), labels)),
        sum_(oof.truth.size(), 0.0),
        count_(oof.num_labels(), 0) {}

  void Add(size_t model) {
    const OofModel& added = oof_.models[model];
    for (size_t l = 0; l < count_.size(); ++l) {
      if (!added.Predicts(l)) continue;
      ++count_[l];
      for (size_t i = l; i < sum_.size(); i += count_.size()) {
        sum_[i] += added.probabilities[i];
      }
    }
  }

  double LogLoss() const {
    std::vector<double> mean = fallback_;
    for (size_t i = 0; i < mean.size(); ++i) {
      const int count = count_[i % count_.size()];
      if (count > 0) mean[i] = std::clamp(sum_[i] / count, 0.0, 1.0);
    }
    return ShrunkLogLoss(oof_.truth, mean);
  }

 private:
  const OofMatrix& oof_;
  const std::vector<double> fallback_;
  std::vector<double> sum_;
  std::vector<int> count_;  // By label.
};

// By model: its own log loss.
std::vector<double> OwnLogLoss(const OofMatrix& oof) {
  const std::vector<bool> labels = PredictedLabels(oof);
  std::vector<double> losses;
  for (size_t model = 0; model < oof.models.size(); ++model) {
    RunningMean alone(oof, labels);
    alone.Add(model);
    losses.push_back(alone.LogLoss());
  }
  return losses;
}

// Indices of `losses`, the least first.
std::vector<size_t> Ascending(const std::vector<double>& losses) {
  std::vector<size_t> order;
  for (size_t i = 0; i < losses.size(); ++i) order.push_back(i);
  absl::c_stable_sort(
      order, [&](size_t a, size_t b) { return losses[a] < losses[b]; });
  return order;
}

// Begins with `first`, goes on with whoever is least like those before.
std::vector<size_t> LeastAlike(const OofMatrix& oof, size_t first) {
  const size_t models = oof.models.size();
  const std::vector<double> correlation = CorrelationMatrix(oof);
  // By model: the greatest with one that was taken; taken ones never again.
  std::vector<double> likeness(models, -std::numeric_limits<double>::max());
  std::vector<size_t> order;
  size_t next = first;
  while (true) {
    order.push_back(next);
    if (order.size() == models) return order;
    likeness[next] = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < models; ++i) {
      likeness[i] = std::max(likeness[i], correlation[next * models + i]);
    }
    next =
        static_cast<size_t>(absl::c_min_element(likeness) - likeness.begin());
  }
}

}  // namespace

std::optional<int> TrialFold(const v1::SweepSpec& spec) {
  if (spec.screen().keep() <= 0) return std::nullopt;
  return spec.screen().fold();
}

bool StopsEarly(const v1::SweepSpec& spec) {
  return spec.stop_when().ensemble_gain_below() > 0;
}

absl::Status CheckRules(const v1::SweepSpec& spec, int folds) {
  const v1::ScreenSpec& screen = spec.screen();
  const v1::StopWhenSpec& stop = spec.stop_when();
  if (screen.keep() < 0 ||
      (screen.keep() > 0 && screen.keep() >= spec.models_size())) {
    return absl::InvalidArgumentError(absl::StrCat(
        "screen.keep is ", screen.keep(), ", expected less than the ",
        spec.models_size(), " models, or 0: no screening"));
  }
  if (screen.keep() > 0 && folds < 2) {
    return absl::InvalidArgumentError(
        "screen: there is one fold, expected another to go on to");
  }
  if (screen.keep() > 0 && (screen.fold() < 0 || screen.fold() >= folds)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "screen.fold is ", screen.fold(), ", expected 0 to ", folds - 1));
  }
  for (const std::string& word : screen.by()) {
    if (word == kLogLoss || word == kCorrelation) continue;
    return absl::InvalidArgumentError(absl::StrCat("screen.by has \"", word,
                                                   "\", expected ", kLogLoss,
                                                   " or ", kCorrelation));
  }
  // Written so that NaN fails.
  if (!(stop.ensemble_gain_below() >= 0 && stop.ensemble_gain_below() <= 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("stop_when.ensemble_gain_below is ",
                     stop.ensemble_gain_below(), ", expected 0 to 1"));
  }
  if (StopsEarly(spec) && ForModels(stop) < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "stop_when.for_models is ", ForModels(stop), ", expected at least 1"));
  }
  return absl::OkStatus();
}

std::vector<RankedModel> RankModels(const OofMatrix& trial,
                                    const v1::ScreenSpec& screen) {
  const std::vector<double> losses = OwnLogLoss(trial);
  std::vector<size_t> order;
  if (!IsBy(screen, kCorrelation)) {
    order = Ascending(losses);
  } else if (!IsBy(screen, kLogLoss)) {
    order = LeastAlike(trial, Ascending(losses)[0]);
  } else {
    for (const SelectionStep& step : GrowEnsemble(trial)) {
      order.push_back(step.model);
    }
  }
  std::vector<RankedModel> ranked;
  for (const size_t model : order) ranked.push_back({model, losses[model]});
  return ranked;
}

std::optional<StopPoint> FindStop(const OofMatrix& oof,
                                  const std::vector<bool>& labels,
                                  const v1::StopWhenSpec& rule) {
  const size_t in_a_row = static_cast<size_t>(ForModels(rule));
  RunningMean mean(oof, labels);
  std::vector<double> gains;  // Of those that were no help, since one was.
  double before = 0;
  for (size_t model = 0; model < oof.models.size(); ++model) {
    mean.Add(model);
    const double log_loss = mean.LogLoss();
    const double gain = before - log_loss;
    before = log_loss;
    if (model == 0) continue;
    if (gain >= rule.ensemble_gain_below()) {
      gains.clear();
      continue;
    }
    gains.push_back(gain);
    if (gains.size() == in_a_row) {
      return StopPoint{model + 1, log_loss, std::move(gains)};
    }
  }
  return std::nullopt;
}

std::string StopNote(const v1::StopWhenSpec& rule) {
  const int models = ForModels(rule);
  const std::string last =
      models == 1 ? "model" : absl::StrCat(models, " models");
  return absl::StrCat("stopped: the last ", last, " gained less than ",
                      rule.ensemble_gain_below());
}

}  // namespace foldfarm
