// How well probabilities rank: area under the ROC curve and average precision.
//
// Both ask only for the order that a label's probabilities give the samples. A
// LabelRanking sorts them once and can then be scored with any weights, as a
// bootstrap does thousands of times.
//
// Thread-safe: constant after construction.
#ifndef FOLDFARM_COMMON_ENSEMBLE_RANKING_H_
#define FOLDFARM_COMMON_ENSEMBLE_RANKING_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/ensemble/oof.h"

namespace foldfarm {

// Of one label, or means over labels; both NaN where there is none.
struct RankingScores {
  // Chance that a sample with the label is ranked above one without it; equal
  // probabilities count half.
  double auc = 0;
  // Precision at each distinct probability, weighted by the recall that it
  // adds; no interpolation.
  double average_precision = 0;
};

class LabelRanking {
 public:
  // `probabilities` is [samples, labels]; samples whose probability is NaN are
  // left out. A sample has the label if its truth is above 0.5.
  LabelRanking(const OofMatrix& oof, absl::Span<const double> probabilities,
               size_t label);

  // NaN where all samples have the label, or none.
  RankingScores Score() const;
  // With a sample counted `counts[sample]` times, [samples].
  RankingScores Score(absl::Span<const uint16_t> counts) const;

  // Samples that have the label, and all.
  int positive() const { return positive_; }
  int samples() const { return static_cast<int>(order_.size()); }

 private:
  template <typename CountOf>
  RankingScores ScoreWith(const CountOf& count_of) const;

  // By falling probability: the sample, with its lowest bits saying whether it
  // has the label and whether the next one's probability is lower.
  std::vector<uint32_t> order_;
  int positive_ = 0;
};

// A ranking a label, in the order of `oof.labels`.
std::vector<LabelRanking> RankLabels(const OofMatrix& oof,
                                     absl::Span<const double> probabilities);

// Means over the labels that have scores.
class MeanRanking {
 public:
  void Add(const RankingScores& label);
  RankingScores Value() const;

 private:
  RankingScores sum_;
  int labels_ = 0;
};

}  // namespace foldfarm

#endif  // FOLDFARM_COMMON_ENSEMBLE_RANKING_H_
