#include "common/ensemble/ranking.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/ensemble/scores.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

OofMatrix OneLabel(std::vector<double> truth) {
  OofMatrix oof;
  oof.labels = {"basalt"};
  oof.truth = std::move(truth);
  for (size_t i = 0; i < oof.truth.size(); ++i) {
    oof.sample_ids.push_back(absl::StrCat("S", i));
    oof.instrument_types.push_back("commercial");
    oof.folds.push_back(0);
  }
  return oof;
}

TEST(LabelRankingTest, CountsPairsThatAreInOrder) {
  const OofMatrix oof = OneLabel({1, 0, 1, 0, 0});
  // 0.9 beats all three negatives, 0.4 beats two.
  const RankingScores scores =
      LabelRanking(oof, {0.9, 0.6, 0.4, 0.3, 0.1}, 0).Score();
  EXPECT_DOUBLE_EQ(scores.auc, 5.0 / 6);
  // Precision 1 at recall 1/2, then 2/3 at recall 1.
  EXPECT_DOUBLE_EQ(scores.average_precision, 0.5 * 1 + 0.5 * 2.0 / 3);
}

TEST(LabelRankingTest, TiesCountHalfAndShareOneThreshold) {
  const OofMatrix oof = OneLabel({1, 0, 1, 0});
  const LabelRanking constant(oof, {0.5, 0.5, 0.5, 0.5}, 0);
  EXPECT_DOUBLE_EQ(constant.Score().auc, 0.5);
  EXPECT_DOUBLE_EQ(constant.Score().average_precision, 0.5);
  const RankingScores tied = LabelRanking(oof, {0.8, 0.8, 0.6, 0.2}, 0).Score();
  // Pairs: (0.8, 0.8) half, (0.8, 0.2) one, (0.6, 0.8) none, (0.6, 0.2) one.
  EXPECT_DOUBLE_EQ(tied.auc, 2.5 / 4);
  EXPECT_DOUBLE_EQ(tied.average_precision, 0.5 * 0.5 + 0.5 * 2.0 / 3);
}

TEST(LabelRankingTest, PerfectAndOppositeAreTheEnds) {
  const OofMatrix oof = OneLabel({1, 0, 1, 0});
  EXPECT_EQ(LabelRanking(oof, oof.truth, 0).Score().auc, 1);
  EXPECT_EQ(LabelRanking(oof, oof.truth, 0).Score().average_precision, 1);
  EXPECT_EQ(LabelRanking(oof, {0, 1, 0, 1}, 0).Score().auc, 0);
}

TEST(LabelRankingTest, OneSidedTruthHasNoScore) {
  for (const double all : {0.0, 1.0}) {
    const OofMatrix oof = OneLabel({all, all});
    const LabelRanking ranking(oof, {0.2, 0.7}, 0);
    EXPECT_TRUE(std::isnan(ranking.Score().auc));
    EXPECT_TRUE(std::isnan(ranking.Score().average_precision));
    EXPECT_EQ(ranking.positive(), all == 1 ? 2 : 0);
  }
}

TEST(LabelRankingTest, WhatNobodyPredictsIsLeftOut) {
  const OofMatrix oof = OneLabel({1, 0, 1, 0});
  const LabelRanking ranking(oof, {0.9, 0.1, kNaN, kNaN}, 0);
  EXPECT_EQ(ranking.samples(), 2);
  EXPECT_EQ(ranking.positive(), 1);
  EXPECT_EQ(ranking.Score().auc, 1);
}

TEST(LabelRankingTest, ACountIsAsManySamples) {
  const std::vector<double> p = {0.9, 0.6, 0.4, 0.4, 0.1};
  const LabelRanking ranking(OneLabel({1, 0, 1, 0, 0}), p, 0);
  const RankingScores weighted = ranking.Score({2, 0, 1, 3, 1});
  const RankingScores repeated =
      LabelRanking(OneLabel({1, 1, 1, 0, 0, 0, 0}),
                   {0.9, 0.9, 0.4, 0.4, 0.4, 0.4, 0.1}, 0)
          .Score();
  EXPECT_DOUBLE_EQ(weighted.auc, repeated.auc);
  EXPECT_DOUBLE_EQ(weighted.average_precision, repeated.average_precision);
  // A draw without the label.
  EXPECT_TRUE(std::isnan(ranking.Score({0, 2, 0, 2, 1}).auc));
}

TEST(MeanRankingTest, LabelsWithoutAScoreDoNotCount) {
  OofMatrix oof = SmallOof();
  oof.truth = {1, 0,  //
               0, 0,  //
               1, 0,  //
               1, 0};
  const OofScores scores = Score(oof, {0.9, 0.1, 0.5, 0.1, 0.8, 0.1, 0.2, 0.1});
  EXPECT_DOUBLE_EQ(scores.auc, 2.0 / 3) << "of basalt alone";
  oof.truth.assign(8, 0);
  EXPECT_TRUE(std::isnan(Score(oof, std::vector<double>(8, 0.5)).auc));
}

}  // namespace
}  // namespace foldfarm
