#include "common/ensemble/prediction_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/common/ensemble/made_oof.h"
#include "tests/common/ensemble/small_oof.h"

namespace foldfarm {
namespace {

TEST(PredictionScorerTest, LabelsAndInstrumentsAreScoredApart) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "a", 0.8, 0.4);
  const std::vector<double>& p = oof.models[0].probabilities;
  const PredictionScores all = PredictionScorer(oof, false).Score(p);
  ASSERT_EQ(all.labels.size(), 2u);
  const auto cost = [](double p) { return -std::log(Shrink(p, 0.002)); };
  EXPECT_NEAR(all.labels[0].log_loss, (3 * cost(0.8) + cost(0.6)) / 4, 1e-12);
  EXPECT_NEAR(all.labels[1].log_loss, (cost(0.8) + 3 * cost(0.6)) / 4, 1e-12);
  EXPECT_EQ(all.labels[0].positive, 3);
  EXPECT_EQ(all.labels[0].samples, 4);
  EXPECT_EQ(all.labels[0].auc, 1);
  ASSERT_EQ(all.instruments.size(), 2u);
  EXPECT_EQ(all.instruments[0].instrument_type, "commercial");
  EXPECT_EQ(all.instruments[0].scores.samples, 3);
  EXPECT_EQ(all.instruments[1].instrument_type, "sam_testbed");
  EXPECT_EQ(all.instruments[1].scores.samples, 1);
  EXPECT_NEAR(all.instruments[1].scores.log_loss,
              -(std::log(Shrink(0.8, 0.01)) + std::log(Shrink(0.6, 0.01))) / 2,
              1e-12);
  EXPECT_TRUE(std::isnan(all.instruments[1].scores.auc)) << "one sample";
  EXPECT_FALSE(all.scores.log_loss_interval.has_value());
}

TEST(PredictionScorerTest, ALabelThatIsNotPredictedIsNotListed) {
  OofMatrix oof = SmallOof();
  AddModel(oof, "a", 0.8, 0.4);
  DropLabel(oof, 0);
  const PredictionScores all =
      PredictionScorer(oof, true).Score(oof.models[0].probabilities);
  ASSERT_EQ(all.labels.size(), 1u);
  EXPECT_EQ(all.labels[0].label, 1u);
  EXPECT_EQ(all.labels[0].log_loss, all.scores.log_loss_shrink_0002);
  EXPECT_EQ(all.labels[0].log_loss_interval->low,
            all.scores.log_loss_shrink_0002_interval->low);
}

TEST(PredictionScorerTest, IntervalsHoldTheFigureAndNarrowWithSamples) {
  double widths[2];
  for (const int samples : {50, 800}) {
    const OofMatrix oof = MadeOof({.samples = samples});
    const PredictionScores all =
        PredictionScorer(oof, true).Score(oof.models[0].probabilities);
    const OofScores& scores = all.scores;
    const auto holds = [](const std::optional<Interval>& interval,
                          double figure) {
      return interval && interval->low < figure && figure < interval->high;
    };
    EXPECT_TRUE(holds(scores.log_loss_interval, scores.log_loss));
    EXPECT_TRUE(holds(scores.log_loss_shrink_0002_interval,
                      scores.log_loss_shrink_0002));
    EXPECT_TRUE(holds(scores.accuracy_interval, scores.accuracy));
    EXPECT_TRUE(holds(scores.auc_interval, scores.auc));
    EXPECT_TRUE(
        holds(scores.average_precision_interval, scores.average_precision));
    for (const OofLabelScores& label : all.labels) {
      EXPECT_TRUE(holds(label.log_loss_interval, label.log_loss));
    }
    for (const OofInstrumentScores& instrument : all.instruments) {
      EXPECT_TRUE(holds(instrument.scores.log_loss_interval,
                        instrument.scores.log_loss));
    }
    widths[samples == 800] =
        scores.log_loss_interval->high - scores.log_loss_interval->low;
  }
  // Sixteen times the samples, a quarter of the width.
  EXPECT_NEAR(widths[0] / widths[1], 4, 1);
}

TEST(PredictionScorerTest, IntervalsAreTheSameEveryTime) {
  const OofMatrix oof = MadeOof({});
  const std::vector<double> mean = MeanOfModels(oof);
  const PredictionScores first = PredictionScorer(oof, true).Score(mean);
  const PredictionScores second = PredictionScorer(oof, true).Score(mean);
  EXPECT_EQ(first.scores.auc_interval->low, second.scores.auc_interval->low);
  EXPECT_EQ(first.scores.log_loss_interval->high,
            second.scores.log_loss_interval->high);
}

}  // namespace
}  // namespace foldfarm
