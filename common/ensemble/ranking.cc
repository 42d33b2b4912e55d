#include "common/ensemble/ranking.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace foldfarm {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr uint32_t kHasLabel = 1;
constexpr uint32_t kEndsGroup = 2;
constexpr int kFlagBits = 2;

}  // namespace

LabelRanking::LabelRanking(const OofMatrix& oof,
                           absl::Span<const double> probabilities,
                           size_t label) {
  const size_t labels = oof.num_labels();
  const auto probability = [&](uint32_t sample) {
    return probabilities[sample * labels + label];
  };
  for (uint32_t i = 0; i < oof.num_samples(); ++i) {
    if (!std::isnan(probability(i))) order_.push_back(i);
  }
  // Equal probabilities make one group, whose inner order does not matter.
  std::sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) {
    return probability(a) > probability(b);
  });
  for (size_t rank = 0; rank < order_.size(); ++rank) {
    const uint32_t sample = order_[rank];
    const bool has_label = oof.truth[sample * labels + label] > 0.5;
    const bool ends = rank + 1 == order_.size() ||
                      probability(order_[rank + 1]) < probability(sample);
    order_[rank] = (sample << kFlagBits) | (has_label ? kHasLabel : 0) |
                   (ends ? kEndsGroup : 0);
    if (has_label) ++positive_;
  }
}

// Sums of integers up to the last step, so exact.
template <typename CountOf>
RankingScores LabelRanking::ScoreWith(const CountOf& count_of) const {
  uint64_t positive = 0, negative = 0;  // Of the groups so far.
  uint64_t group_positive = 0, group_all = 0;
  uint64_t twice_won = 0;  // Pairs ranked right count 2, ties 1.
  double precision_sum = 0;
  for (const uint32_t entry : order_) {
    const uint64_t count = count_of(entry >> kFlagBits);
    group_all += count;
    group_positive += (entry & kHasLabel) * count;
    if ((entry & kEndsGroup) == 0) continue;
    const uint64_t group_negative = group_all - group_positive;
    // Those above a negative win it.
    twice_won += group_negative * (2 * positive + group_positive);
    positive += group_positive;
    negative += group_negative;
    if (group_positive > 0) {
      precision_sum += static_cast<double>(group_positive) *
                       static_cast<double>(positive) /
                       static_cast<double>(positive + negative);
    }
    group_positive = group_all = 0;
  }
  if (positive == 0 || negative == 0) return {kNaN, kNaN};
  return {static_cast<double>(twice_won) / 2.0 /
              (static_cast<double>(positive) * static_cast<double>(negative)),
          precision_sum / static_cast<double>(positive)};
}

RankingScores LabelRanking::Score() const {
  return ScoreWith([](uint32_t) { return uint64_t{1}; });
}

RankingScores LabelRanking::Score(absl::Span<const uint16_t> counts) const {
  const uint16_t* const begin = counts.data();
  return ScoreWith([begin](uint32_t sample) { return begin[sample]; });
}

std::vector<LabelRanking> RankLabels(const OofMatrix& oof,
                                     absl::Span<const double> probabilities) {
  std::vector<LabelRanking> rankings;
  for (size_t label = 0; label < oof.num_labels(); ++label) {
    rankings.emplace_back(oof, probabilities, label);
  }
  return rankings;
}

void MeanRanking::Add(const RankingScores& label) {
  if (std::isnan(label.auc)) return;
  sum_.auc += label.auc;
  sum_.average_precision += label.average_precision;
  ++labels_;
}

RankingScores MeanRanking::Value() const {
  if (labels_ == 0) return {kNaN, kNaN};
  return {sum_.auc / labels_, sum_.average_precision / labels_};
}

}  // namespace foldfarm
